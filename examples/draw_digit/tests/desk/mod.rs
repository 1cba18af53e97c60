//! A virtual display with the app, mouse input, and screenshots.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ConfigureWindowAux, ConnectionExt as _, ImageFormat, MOTION_NOTIFY_EVENT,
    Window,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

/// The display and the app; both end when dropped.
pub struct Desk {
    // The app is dropped before the display.
    app: Ending,
    x: RustConnection,
    root: Window,
    lines: Receiver<Value>,
    _server: Ending,
}

/// A child process that is killed when dropped.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A rectangle of the screen, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub x: i16,
    pub y: i16,
    pub width: i16,
    pub height: i16,
}

/// A line printed by `--status`.
#[derive(Debug)]
pub struct Line(Value);

impl Line {
    /// A number, 0 if it is missing.
    pub fn number(&self, name: &str) -> f64 {
        self.0[name].as_f64().unwrap_or_default()
    }

    pub fn is(&self, name: &str) -> bool {
        self.0[name].as_bool().unwrap()
    }

    pub fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap()
    }

    pub fn place(&self, name: &str) -> Place {
        let [x, y, width, height] = [0, 1, 2, 3].map(|i| self.0["places"][name][i].as_f64().unwrap() as i16);
        Place { x, y, width, height }
    }
}

/// A screenshot of a part of the screen.
pub struct Sight {
    pixels: Vec<[u8; 3]>,
    width: usize,
}

impl Sight {
    /// The number of distinct colors.
    pub fn colors(&self) -> usize {
        self.pixels.iter().collect::<BTreeSet<_>>().len()
    }
}

/// The fraction of differing pixels.
pub fn differing(a: &Sight, b: &Sight) -> f64 {
    let count = a.pixels.iter().zip(&b.pixels).filter(|(a, b)| a != b).count();
    count as f64 / a.pixels.len() as f64
}

impl Desk {
    /// Starts display and app; `None` without Xvfb, which is a failure with `REQUIRE_GPU`.
    pub fn start(folder: &Path) -> Option<Self> {
        let mut server = Command::new("Xvfb");
        server.args(["-displayfd", "1", "-screen", "0", "1280x840x24", "-nolisten", "tcp"]);
        let Ok(server) = server.stdout(Stdio::piped()).stderr(Stdio::null()).spawn() else {
            let reason = "Xvfb is missing; Debian and Ubuntu: apt-get install xvfb";
            assert!(std::env::var_os("REQUIRE_GPU").is_none(), "{reason}");
            eprintln!("skipped: {reason}");
            return None;
        };
        let mut server = Ending(server);
        let mut number = String::new();
        BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut number).unwrap();
        let display = format!(":{}", number.trim());
        let (x, screen) = x11rb::connect(Some(&display)).unwrap();
        let root = x.setup().roots[screen].root;

        let app = Command::new(env!("CARGO_BIN_EXE_draw_digit"))
            .arg(folder)
            .arg("--status")
            .env("DISPLAY", display)
            .env_remove("WAYLAND_DISPLAY")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut app = Ending(app.unwrap());
        let out = BufReader::new(app.0.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                // The test may have ended.
                let _ = sender.send(serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}")));
            }
        });
        Some(Self { app, x, root, lines, _server: server })
    }

    /// The first new status line that satisfies `is`.
    pub fn wait_for(&mut self, seconds: u64, what: &str, is: impl Fn(&Line) -> bool) -> Line {
        let end = Instant::now() + Duration::from_secs(seconds);
        let mut last = None;
        while let Ok(line) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            let line = Line(line);
            if is(&line) {
                return line;
            }
            last = Some(line);
        }
        self.assert_alive();
        panic!("waited {seconds} s for {what}; the last line was {last:?}");
    }

    /// Waits until the status and the longest bar on the screen show `digit`. Returns a screenshot of the layers.
    pub fn recognizes(&mut self, digit: usize) -> Sight {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let line = self.wait_for(20, &format!("a {digit}"), |line| line.number("prediction") == digit as f64);
            if self.longest_bar(line.place("bars")) == digit {
                return self.look(line.place("layers"));
            }
            assert!(Instant::now() < end, "the longest bar is not that of {digit}");
        }
    }

    fn longest_bar(&self, place: Place) -> usize {
        let sight = self.look(place);
        let rows = sight.pixels.len() / sight.width;
        // A longer bar is also brighter.
        let light = |class: &usize| {
            let row = &sight.pixels[(2 * class + 1) * rows / 20 * sight.width..][..sight.width];
            row.iter().flatten().map(|&v| u32::from(v)).sum::<u32>()
        };
        (0..10).max_by_key(light).unwrap()
    }

    /// A screenshot.
    pub fn look(&self, place: Place) -> Sight {
        let [width, height] = [place.width, place.height].map(|side| side as u16);
        let image = self.x.get_image(ImageFormat::Z_PIXMAP, self.root, place.x, place.y, width, height, !0);
        let data = image.unwrap().reply().unwrap().data;
        let pixels = data.as_chunks().0.iter().map(|&[b, g, r, _]: &[u8; 4]| [r, g, b]).collect();
        Sight { pixels, width: width.into() }
    }

    pub fn click(&self, place: Place) {
        self.pointer(MOTION_NOTIFY_EVENT, [place.x + place.width / 2, place.y + place.height / 2]);
        self.rest(Duration::from_millis(100));
        for event in [BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT] {
            self.pointer(event, [0; 2]);
            self.rest(Duration::from_millis(100));
        }
    }

    /// Draws strokes, given in fractions of the paper's size, at the speed of a hand.
    pub fn draw(&self, paper: Place, strokes: &[Vec<[f32; 2]>]) {
        let at = |[x, y]: [f32; 2]| {
            [paper.x + (x * f32::from(paper.width)) as i16, paper.y + (y * f32::from(paper.height)) as i16]
        };
        for stroke in strokes {
            self.pointer(MOTION_NOTIFY_EVENT, at(stroke[0]));
            self.rest(Duration::from_millis(100));
            self.pointer(BUTTON_PRESS_EVENT, [0; 2]);
            for &point in stroke {
                self.rest(Duration::from_millis(20));
                self.pointer(MOTION_NOTIFY_EVENT, at(point));
            }
            self.rest(Duration::from_millis(100));
            self.pointer(BUTTON_RELEASE_EVENT, [0; 2]);
        }
        self.rest(Duration::from_millis(100));
    }

    fn pointer(&self, event: u8, [x, y]: [i16; 2]) {
        let button = u8::from(event != MOTION_NOTIFY_EVENT);
        self.x.xtest_fake_input(event, button, 0, self.root, x, y, 0).unwrap().check().unwrap();
    }

    pub fn resize(&self, [width, height]: [u32; 2]) {
        let window = self.x.query_tree(self.root).unwrap().reply().unwrap().children[0];
        let size = ConfigureWindowAux::new().width(width).height(height);
        self.x.configure_window(window, &size).unwrap().check().unwrap();
    }

    /// Destroys the app's device.
    pub fn lose_device(&mut self) {
        writeln!(self.app.0.stdin.as_mut().unwrap(), "lose").unwrap();
    }

    pub fn rest(&self, time: Duration) {
        thread::sleep(time);
    }

    pub fn assert_alive(&mut self) {
        assert!(self.app.0.try_wait().unwrap().is_none(), "the app ended by itself");
    }
}
