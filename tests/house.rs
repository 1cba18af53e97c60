//! The rules of the house, held by reading its source text: which module may know which, what each folder leaves to
//! others, that every shader belongs to the code and back, that files can be read at a sitting. A failure names the
//! rule, the reason for it, and every place against it.

#[path = "house/imports.rs"]
mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use imports::Imports;

/// The floors, lowest first. A module may use its own folder and the rows above its own in this list; modules of one
/// row do not know each other.
const FLOORS: &[(u8, &[&str])] = &[
    // Values.
    (0, &["error"]),
    (0, &["shape"]),
    (0, &["kernel", "tensor"]),
    // The graph, and the plan made of one, whose steps say which node they work for.
    (1, &["graph"]),
    (1, &["plan"]),
    // Operations.
    (2, &["ops"]),
    // The compiler.
    (3, &["compile"]),
    // Execution.
    (4, &["cpu", "gpu"]),
    (4, &["device"]),
    // Training.
    (5, &["nn", "optim"]),
    (5, &["models"]),
    (5, &["formats"]),
    (5, &["data"]),
    (5, &["infer"]),
    (5, &["train"]),
    (5, &["runs"]),
    // Faces.
    (6, &["check"]),
    (6, &["bench", "plot"]),
    (6, &["cli"]),
    (6, &["main"]),
];

/// Longest file of Rust and of WGSL.
const MOST_LINES: [(&str, usize); 2] = [("rs", 450), ("wgsl", 220)];

#[test]
fn modules_use_lower_floors_only() {
    let rule = Rule {
        text: "a module uses its own folder and lower floors only (FLOORS in tests/house.rs, lowest first)",
        reason: "each floor can be read, tested and changed by knowing those below it, and nothing goes in a circle",
    };
    let row = |module: &str| FLOORS.iter().position(|(_, modules)| modules.contains(&module));
    let house = House::read();
    let mut against = vec![];
    for file in &house.files {
        let module = file.module();
        let Some(own) = row(module) else {
            if module != "lib" {
                against.push(format!("{}: {module} stands on no floor yet; give it one", file.path));
            }
            continue;
        };
        for (line, used) in house.uses(file) {
            match row(&used) {
                _ if used == module => {}
                Some(other) if other < own => {}
                Some(other) => {
                    let (from, to) = (FLOORS[own].0, FLOORS[other].0);
                    against.push(format!("{}:{line}: {module} (floor {from}) uses {used} (floor {to})", file.path));
                }
                None => against.push(format!("{}:{line}: {used} stands on no floor", file.path)),
            }
        }
    }
    let there: BTreeSet<&str> = house.files.iter().map(Source::module).collect();
    let gone = FLOORS.iter().flat_map(|(_, modules)| *modules).filter(|module| !there.contains(**module));
    against.extend(gone.map(|module| format!("tests/house.rs: {module} is no module any more")));
    rule.hold(against);
}

#[test]
fn no_file_imports_itself_through_others() {
    let rule = Rule {
        text: "no file of src imports, directly or through others, a file that imports it",
        reason: "what stands in a circle can only be read, tested and changed all at once",
    };
    let house = House::read();
    rule.hold(Imports::of(&house).circles().into_iter().map(|files| files.join(", ")));
}

#[test]
fn only_the_gpu_folder_names_wgpu() {
    let rule = Rule {
        text: "only src/gpu names wgpu; lib.rs passes it on, once",
        reason: "graphs, plans and kernels are data that any machine can make, print and test; one folder knows the API",
    };
    let house = House::read();
    let elsewhere = house.files.iter().filter(|file| file.module() != "gpu");
    rule.hold(elsewhere.flat_map(|file| {
        let passed_on = |line: &str| file.path == "src/lib.rs" && line == "pub use wgpu;";
        file.find(move |line| words(line).any(|word| word == "wgpu") && !passed_on(line))
    }));
}

#[test]
fn the_gpu_folder_names_no_operation() {
    let rule = Rule {
        text: "src/gpu names no operation: no crate::ops, no optimizer, no layer",
        reason: "it runs any plan; a new operation must need no change there",
    };
    let house = House::read();
    let gpu = house.files.iter().filter(|file| file.module() == "gpu");
    rule.hold(gpu.flat_map(|file| {
        let uses = house.uses(file).into_iter().filter(|(_, used)| ["ops", "optim", "nn"].contains(&used.as_str()));
        uses.map(|(line, used)| format!("{}:{line}: uses {used}", file.path)).collect::<Vec<_>>()
    }));
}

#[test]
fn passes_ask_operations_and_do_not_recognise_them() {
    let rule = Rule {
        text: "passes and devices do not compare an operation's name, print or type",
        reason: "what a pass needs to know an operation says in its traits; a match would have to grow with each of them",
    };
    let house = House::read();
    let blind = house.files.iter().filter(|file| ["graph", "plan", "compile", "cpu", "gpu"].contains(&file.module()));
    rule.hold(blind.flat_map(|file| {
        file.find(|line| {
            let compares = ["==", "!=", "match ", "matches!", "starts_with", "ends_with", "contains("];
            let asks = line.contains("op.name()") || line.contains("{op:?}");
            asks && compares.iter().any(|c| line.contains(c)) || words(line).any(|w| w == "Any" || w == "TypeId")
        })
    }));
}

#[test]
fn every_shader_belongs_to_the_code_and_back() {
    let rule = Rule {
        text: "every shaders/FAMILY/NAME.wgsl is named by one shader!(\"FAMILY/NAME\") in src, and has one entry point, \
               called NAME",
        reason: "a file nobody names is never run, and one name for file, entry point and label is one to search for",
    };
    let mut named = BTreeMap::<String, Vec<String>>::new();
    for file in &House::read().files {
        for (number, line) in file.text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            let names = line.split("shader!(\"").skip(1).filter_map(|rest| rest.split('"').next());
            for name in names {
                named.entry(name.to_string()).or_default().push(format!("{}:{}", file.path, number + 1));
            }
        }
    }
    let mut against = vec![];
    let shaders: BTreeMap<String, String> = shaders().into_iter().collect();
    for (name, text) in &shaders {
        match named.get(name).map_or(&[][..], Vec::as_slice) {
            [_] => {}
            [] => against.push(format!("shaders/{name}.wgsl: no shader!(\"{name}\") in src")),
            places => against.push(format!("shaders/{name}.wgsl: named more than once: {}", places.join(", "))),
        }
        let entry_points: Vec<&str> =
            text.split("@compute").skip(1).filter_map(|rest| words_after(rest, "fn ")).collect();
        if !matches!(entry_points[..], [only] if name.ends_with(&format!("/{only}"))) {
            against.push(format!("shaders/{name}.wgsl: entry points {entry_points:?}"));
        }
    }
    for (name, places) in named.iter().filter(|(name, _)| !shaders.contains_key(*name)) {
        against.push(format!("{}: no file shaders/{name}.wgsl", places.join(", ")));
    }
    rule.hold(against);
}

#[test]
fn files_can_be_read_at_a_sitting() {
    let rule = Rule {
        text: "no file of src is longer than 450 lines, no shader longer than 220",
        reason: "a newcomer reads whole files; split by meaning before one grows past that",
    };
    let mut against = vec![];
    for path in files("src").into_iter().chain(files("shaders")) {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let lines = read(&path).lines().count();
        match MOST_LINES.iter().find(|(of, _)| *of == extension) {
            Some((_, most)) if lines <= *most => {}
            Some((_, most)) => against.push(format!("{}: {lines} lines, at most {most}", relative(&path))),
            None if relative(&path) == "shaders/README.md" => {}
            None => against.push(format!("{}: neither Rust nor WGSL", relative(&path))),
        }
    }
    rule.hold(against);
}

/// Where unsafe code stands: the file, the line that needs it, and why.
const UNSAFE: [[&str; 3]; 2] = [
    ["src/gpu/pipeline.rs", " device.create_shader_module_trusted(", "this crate's shaders run unchecked"],
    ["src/kernel/shader.rs", "pub const unsafe fn trusted(", "a caller vouches for WGSL from elsewhere"],
];

#[test]
fn no_lint_is_silenced_and_unsafe_code_stands_in_named_places() {
    let rule = Rule {
        text: "unsafe code, and a lint allowed, only where UNSAFE says, with a SAFETY comment or section",
        reason: "trusted shaders are the one thing that needs it; everything else must be safe to change",
    };
    let house = House::read();
    rule.hold(house.files.iter().flat_map(|file| {
        let documented = file.text.contains("// SAFETY: ") || file.text.contains("/// # Safety");
        let place = UNSAFE.iter().find(|[path, ..]| *path == file.path && documented);
        file.find(move |line| {
            let silences = line.contains("[allow(") || line.contains("[expect(");
            let is_unsafe = words(line).any(|word| word == "unsafe");
            let is_named = |[_, needs, _]: &[&str; 3]| line.trim() == "#[allow(unsafe_code)]" || line.contains(needs);
            (silences || is_unsafe) && !place.is_some_and(is_named)
        })
    }));
}

#[test]
fn the_library_finishes_its_work_and_keeps_quiet() {
    let rule = Rule {
        text: "no todo!, unimplemented! or dbg! anywhere; the library prints only what LENSLET_TRACE asks for",
        reason: "an app's standard output and error are its own, and what is there is done",
    };
    let unfinished = ["todo!", "unimplemented!", "dbg!"];
    let prints = ["println!", "eprintln!", "print!", "eprint!"];
    let house = House::read();
    rule.hold(house.files.iter().flat_map(|file| {
        let may_print = ["cli", "main"].contains(&file.module()) || file.path == "src/compile/mod.rs";
        file.find(move |line| {
            let calls = |name: &&str| line.match_indices(*name).any(|(at, _)| !line[..at].ends_with(is_word));
            unfinished.iter().any(calls) || (!may_print && prints.iter().any(calls))
        })
    }));
}

/// A rule and why it is one.
struct Rule {
    text: &'static str,
    reason: &'static str,
}

impl Rule {
    /// Fails with every place against the rule.
    fn hold(&self, against: impl IntoIterator<Item = String>) {
        let mut places = String::new();
        for place in against {
            write!(places, "\n  {place}").expect("a string takes all");
        }
        assert!(places.is_empty(), "\nrule: {}\nwhy: {}\nagainst it:{places}\n", self.text, self.reason);
    }
}

/// A file of `src`, without its unit tests: those may use what they like.
struct Source {
    /// Below the project's folder.
    path: String,
    text: String,
    /// The same with comments and the contents of strings left out.
    code: String,
}

impl Source {
    fn read(path: &Path) -> Self {
        let text = read(path);
        // Unit tests end a file.
        let text = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_string();
        Self { path: relative(path), code: code(&text), text }
    }

    /// The top-level module it belongs to.
    fn module(&self) -> &str {
        self.path.strip_prefix("src/").and_then(|rest| rest.split(['/', '.']).next()).expect("a file of src")
    }

    /// How deep below the crate's root its module is.
    fn depth(&self) -> usize {
        let folders = self.path.matches('/').count() - 1;
        if self.path.ends_with("/mod.rs") { folders } else { folders + 1 }
    }

    /// The lines of code that `is` says are against a rule.
    fn find(&self, is: impl Fn(&str) -> bool) -> Vec<String> {
        let lines = self.code.lines().zip(self.text.lines()).enumerate().filter(|(_, (code, _))| is(code));
        lines.map(|(number, (_, line))| format!("{}:{}: {}", self.path, number + 1, line.trim())).collect()
    }
}

/// All of `src`, with what its root passes on.
struct House {
    files: Vec<Source>,
    /// Names at the crate's root that are no modules: the module each comes from.
    passed_on: BTreeMap<String, String>,
}

impl House {
    fn read() -> Self {
        let files: Vec<Source> = files("src").iter().map(|path| Source::read(path)).collect();
        let mut passed_on = BTreeMap::new();
        for file in &files {
            for (at, _) in file.code.match_indices("macro_rules! ") {
                let name = file.code[at..].split([' ', '{']).nth(1).expect("a macro has a name");
                passed_on.insert(name.to_string(), file.module().to_string());
            }
        }
        let root = files.iter().find(|file| file.path == "src/lib.rs").expect("a library");
        for item in root
            .code
            .replace("pub(crate) use ", "pub use ")
            .split("pub use ")
            .skip(1)
            .filter_map(|rest| rest.split(';').next())
        {
            if let Some((module, names)) = item.split_once("::") {
                let renamed = names.split_once(" as ").map(|(_, name)| name.trim().to_string());
                let names = renamed.map_or_else(|| first_names(names), |name| vec![name]);
                passed_on.extend(names.into_iter().map(|name| (name, module.to_string())));
            }
        }
        Self { files, passed_on }
    }

    /// The modules of the crate that a file names, with the lines.
    fn uses(&self, file: &Source) -> Vec<(usize, String)> {
        let code = &file.code;
        let from_root = code.match_indices("crate::").map(|(at, found)| (at, at + found.len()));
        let up = "super::".repeat(file.depth());
        let from_below = code.match_indices(&up).map(|(at, found)| (at, at + found.len()));
        let mut uses = vec![];
        for (begin, end) in from_root.chain(from_below) {
            if code[..begin].ends_with(is_word) {
                continue;
            }
            let line = code[..begin].matches('\n').count() + 1;
            for name in first_names(&code[end..]) {
                uses.push((line, self.passed_on.get(&name).cloned().unwrap_or(name)));
            }
        }
        uses
    }
}

/// Of a path `a::b` the name `a`; of a group `{a::b, c::{d, e}}` the names `a` and `c`.
fn first_names(path: &str) -> Vec<String> {
    let Some(group) = path.strip_prefix('{') else {
        return words(path).take(1).map(String::from).collect();
    };
    let mut names = vec![];
    let (mut depth, mut at_begin) = (0, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => at_begin = true,
            c if at_begin && is_word(c) => {
                names.extend(words(&group[at..]).next().map(String::from));
                at_begin = false;
            }
            _ => {}
        }
    }
    names
}

/// Rust text with comments and the contents of strings left out; lines keep their numbers.
fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '"' => closing(rest, '"'),
            // A character, not a lifetime.
            '\'' if rest.starts_with("'\\") || rest.chars().nth(2) == Some('\'') => closing(rest, '\''),
            _ => 0,
        };
        let taken = skipped.max(c.len_utf8());
        match skipped {
            0 => out.push(c),
            _ => out.extend(rest[..taken].chars().filter(|c| *c == '\n')),
        }
        rest = &rest[taken..];
    }
    out
}

/// The length of a literal that begins and ends with `quote`.
fn closing(text: &str, quote: char) -> usize {
    let mut escaped = true;
    let end = text.char_indices().find(|(_, c)| {
        let ends = *c == quote && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |(at, c)| at + c.len_utf8())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c| !is_word(c)).filter(|word| !word.is_empty())
}

/// The first word after `keyword`.
fn words_after<'a>(text: &'a str, keyword: &str) -> Option<&'a str> {
    words(text.split_once(keyword)?.1).next()
}

/// Path below `shaders`, without its ending, and text of each kernel.
fn shaders() -> Vec<(String, String)> {
    let is_kernel = |path: &PathBuf| !relative(path).starts_with("shaders/common/") && !path.ends_with("README.md");
    let kernels = files("shaders").into_iter().filter(is_kernel);
    let name = |path: &Path| relative(path).trim_start_matches("shaders/").trim_end_matches(".wgsl").to_string();
    kernels.map(|path| (name(&path), read(&path))).collect()
}

/// All files below a folder of the project, in order.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = vec![];
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the project") {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn relative(path: &Path) -> String {
    let below = path.strip_prefix(root()).expect("a file of the project");
    below.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).replace("\r\n", "\n")
}

mod reading {
    use super::*;

    #[test]
    fn comments_strings_and_characters_are_no_code() {
        let text = "let a = \"x // \\\" y\"; // unsafe\nlet b = '\"'; let c: &'a str = '\\'';\n";
        assert_eq!(code(text), "let a = ; \nlet b = ; let c: &'a str = ;\n");
    }

    #[test]
    fn every_way_to_name_a_module_is_seen() {
        let file = |path: &str, code: &str| Source { path: path.into(), text: code.into(), code: code.into() };
        let house = House { files: vec![], passed_on: [("Graph".into(), "graph".into())].into() };
        let uses = |path, code| house.uses(&file(path, code)).into_iter().map(|(_, used)| used).collect::<Vec<_>>();
        assert_eq!(
            uses("src/ops/a.rs", "use crate::{shape::{DType, Shape}, Graph,\n data};"),
            ["shape", "graph", "data"]
        );
        assert_eq!(
            uses("src/ops/a.rs", "use super::b; use super::super::cpu::C; $crate::kernel::K"),
            ["kernel", "cpu"]
        );
        assert_eq!(uses("src/ops/mod.rs", "use super::{gpu, error};"), ["gpu", "error"]);
        assert_eq!(uses("src/plan.rs", "super::train::Trainer"), ["train"]);
    }
}
