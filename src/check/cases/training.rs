//! Cases of mini-batches, augmentation, dropout, optimizers, gradient clipping and metrics.

use crate::ops::{Augment, IGNORE};
use crate::optim::{Adagrad, Adam, AdamW, Flat, Optimizer, ParameterGroup, RmsProp, Sgd};
use crate::{Graph, NodeId, TensorType};

use crate::check::cases::{Build, Case, Fill, Input, MANY, case};

pub fn all() -> Vec<Case> {
    [batches(), augmentations(), updates(), dropouts(), clips()].into_iter().flatten().collect()
}

/// Images whose rows do not start at words, labels, an order with padding rows, steps within and beyond the end.
fn batches() -> Vec<Case> {
    let mut cases = vec![];
    for step in [0, 2, 3, 100] {
        for (what, shape) in [("", vec![11, 1, 28, 28]), (", odd", vec![13, 3, 5, 7]), (", labels", vec![13])] {
            let rows = shape[0];
            let images = shape.len() == 4;
            let inputs = vec![
                Input { ty: TensorType::u8(shape), fill: Fill::Bytes },
                Input { ty: TensorType::u32([12]), fill: Fill::BelowOrIgnore(rows as u32) },
                Input { ty: TensorType::u32([1]), fill: Fill::Only(step) },
            ];
            let build = move |g: &mut Graph, i: &[NodeId]| match images {
                true => g.gather_images(i[0], i[1], i[2], 4),
                false => g.gather_labels(i[0], i[1], i[2], 4),
            };
            let name = format!("gather step {step}{what}");
            cases.push(Case {
                name,
                inputs,
                build: Box::new(build),
                differentiable: false,
                backward: false,
                updates: false,
                joined: false,
            });
        }
    }
    cases
}

/// Each option of augmentation, and all together; single pixels, rows and columns; more workgroups than a grid axis
/// holds.
fn augmentations() -> Vec<Case> {
    let mut cases = vec![];
    for options in [
        "none",
        "rotate:180,fill:nearest",
        "rotate:30,fill:0.25",
        "shift:0.4,fill:reflect",
        "shear:40,fill:nearest",
        "zoom:0.5:2,fill:reflect",
        "zoom:0.1:0.1,fill:reflect",
        "flip:both",
        "crop:4,fill:0",
        "brightness:0.5",
        "contrast:1",
        "rotate:10,shift:0.1,shear:5,zoom:0.9:1.1,flip:horizontal,brightness:0.2,contrast:0.2,crop:2,fill:0.5",
        "rotate:180,shift:1,shear:80,zoom:0.3:3,flip:vertical,brightness:1,contrast:1,crop:40,fill:reflect",
    ] {
        for (shape, number, seed) in [
            ([1, 1, 1, 1], 0, 1),
            ([5, 1, 28, 28], 1, 2),
            ([3, 3, 13, 7], u32::MAX, u64::MAX),
            ([4, 70, 2, 3], 77, 0x0123_4567_89ab_cdef),
            ([2, 2, 1, 19], 5, 3),
            ([2, 1, 17, 1], 6, 3),
            ([1, 1, 120, 200], 7, 3),
        ] {
            let name = format!("augment {options} {shape:?} step {number}");
            let plain = move |what: &str| {
                let augment: Augment = options.parse().expect("an augmentation");
                let build = move |g: &mut Graph, i: &[NodeId]| g.augment(i[0], i[1], augment, seed);
                let mut case = case(format!("{name}{what}"), &[&shape], build).forward_only();
                case.inputs.push(Input { ty: TensorType::u32([1]), fill: Fill::Only(number) });
                case
            };
            cases.push(plain(""));
            if shape[1] == 3 {
                cases.push(plain(", special").fill(Fill::Special));
                cases.push(plain(", large").fill(Fill::Large));
            }
        }
    }
    let everywhere = Augment::default().shift(1.0).brightness(0.5).fill(crate::ops::Fill::Value(0.5));
    let build = move |g: &mut Graph, i: &[NodeId]| g.augment(i[0], i[1], everywhere, 1);
    let mut many = case("augment, many images", &[&[MANY, 1, 1, 1]], build).forward_only();
    many.inputs.push(Input { ty: TensorType::u32([1]), fill: Fill::Only(3) });
    cases.push(many);
    cases
}

/// Operations that replace variables.
fn updates() -> Vec<Case> {
    let update = |name: &str, inputs: Vec<Input>, build: Build| Case {
        name: name.into(),
        inputs,
        build,
        differentiable: false,
        backward: false,
        updates: true,
        joined: false,
    };
    let float = |shape: &[usize], fill| Input { ty: TensorType::f32(shape), fill };
    let step = |n| Input { ty: TensorType::u32([1]), fill: Fill::Only(n) };
    let mut cases = vec![];
    type Make = fn() -> Box<dyn Optimizer>;
    let optimizers: [(&str, Make); 15] = [
        ("sgd", || Box::new(Sgd::new(0.1))),
        ("sgd momentum decay", || Box::new(Sgd::new(0.1).momentum(0.9).weight_decay(0.01))),
        ("sgd nesterov", || Box::new(Sgd::new(0.1).momentum(0.9).nesterov(true))),
        ("rmsprop", || Box::new(RmsProp::new(0.01))),
        ("rmsprop momentum decay", || Box::new(RmsProp::new(0.01).momentum(0.9).weight_decay(0.01).alpha(0.99))),
        ("sgd dampening", || Box::new(Sgd::new(0.1).momentum(0.9).dampening(0.5).weight_decay(0.01))),
        ("rmsprop epsilon inside", || Box::new(RmsProp::new(0.01).epsilon_inside(true).epsilon(0.01))),
        ("rmsprop centered", || Box::new(RmsProp::new(0.01).centered(true))),
        ("rmsprop centered inside", || {
            Box::new(RmsProp::new(0.01).centered(true).epsilon_inside(true).epsilon(0.1).momentum(0.5))
        }),
        ("adam", || Box::new(Adam::new(0.01))),
        ("adam decay", || Box::new(Adam::new(0.01).weight_decay(0.1).betas(0.0, 0.5).epsilon(1e-3))),
        ("adamw", || Box::new(AdamW::new(0.01))),
        ("adamw decay", || Box::new(AdamW::new(0.01).weight_decay(0.1).betas(0.5, 0.9))),
        ("adagrad", || Box::new(Adagrad::new(0.01))),
        ("adagrad decay", || Box::new(Adagrad::new(0.01).rate_decay(0.1).initial(0.5).weight_decay(0.01))),
    ];
    for (name, make) in optimizers {
        let halves = |length: usize| {
            let group = |range, rate_factor, weight_decay| ParameterGroup { range, rate_factor, weight_decay };
            vec![group(0..length / 3, 0.25, Some(0.3)), group(length / 2..length, 3.0, None)]
        };
        for (length, number, groups, rates) in [
            (64, 0, vec![], Fill::Positive),
            (1000, 1, vec![], Fill::Positive),
            (63 * 5, 77, vec![], Fill::Positive),
            (901, 3, halves(901), Fill::Positive),
            (960, 3, halves(960), Fill::Positive),
            (64, 0, vec![], Fill::Negative),
            (901, 3, halves(901), Fill::Negative),
        ] {
            let what = match (rates, groups.is_empty()) {
                (Fill::Negative, true) => ", no update",
                (Fill::Negative, false) => ", no update of two groups",
                (_, true) => "",
                (_, false) => ", two groups and a gap",
            };
            // Mean squares and velocities are 1 here, because a mean square is never negative. Running means are 0, so
            // that no variance cancels.
            let states = make().states();
            let mut inputs =
                vec![float(&[length], Fill::Any), float(&[length], Fill::Any), float(&[3], rates), step(number)];
            inputs.extend(states.iter().map(|&s| float(&[length], Fill::Only((s != "mean") as u32))));
            inputs.push(step(10 * number));
            let build = move |g: &mut Graph, i: &[NodeId]| {
                let [parameters, gradients, rates, step, states @ .., clock] = i else {
                    panic!("an update's operands")
                };
                let flat = Flat {
                    parameters: *parameters,
                    gradients: *gradients,
                    rates: *rates,
                    step: *step,
                    ranges: &[],
                    groups: &groups,
                    states,
                    clock: *clock,
                };
                make().update(g, flat)
            };
            cases.push(update(&format!("{name} {length} step {number}{what}"), inputs, Box::new(build)));
        }
    }
    for number in [0, 4, 5, 9] {
        for (n, c, fill) in [
            (1, 1, Fill::Below(1)),
            (64, 10, Fill::BelowOrIgnore(10)),
            (70, 3, Fill::Only(IGNORE)),
            (65, 70, Fill::Below(70)),
            (3, 5000, Fill::BelowOrIgnore(5000)),
            (3, 13_000, Fill::Below(13_000)),
            (5, 4, Fill::Only(4)),
        ] {
            for (what, weights) in [("", None), (", weighted", Some(Fill::Positive))] {
                let labels = Input { ty: TensorType::u32([n]), fill };
                let mut inputs = vec![float(&[5, 3], Fill::Any), step(number), float(&[n, c], Fill::Ties), labels];
                inputs.extend(weights.map(|fill| float(&[c], fill)));
                let build = |g: &mut Graph, i: &[NodeId]| g.record(i[0], i[1], i[2], i[3], i.get(4).copied());
                cases.push(update(&format!("record step {number} of {n}x{c}{what}"), inputs, Box::new(build)));
            }
        }
    }
    for (length, fill) in [(1, Fill::Any), (1000, Fill::Any), (65, Fill::Special)] {
        for (number, every) in [(0, 3), (1, 3), (3, 3), (77, 4), (u32::MAX, 2)] {
            let inputs = vec![float(&[length], fill), float(&[length], fill), float(&[5], Fill::Any), step(number)];
            let name = format!("accumulate {length} step {number} of {every}");
            let build = move |g: &mut Graph, i: &[NodeId]| g.accumulate(i[0], i[1], i[2], i[3], every);
            cases.push(Case { updates: false, ..update(&name, inputs, Box::new(build)) });
        }
        let inputs = vec![float(&[length], Fill::Any), float(&[length], fill)];
        let build = |g: &mut Graph, i: &[NodeId]| g.store(i[0], i[1]);
        cases.push(update(&format!("store {length}"), inputs, Box::new(build)));
    }
    // Few classes and many rows: many additions to one count.
    for (n, c, labels, logits, counted) in [
        (1, 1, Fill::Below(1), Fill::Any, Fill::Only(0)),
        (64, 10, Fill::BelowOrIgnore(10), Fill::Ties, Fill::Below(1000)),
        (70, 3, Fill::Only(IGNORE), Fill::Any, Fill::Only(7)),
        (777, 7, Fill::BelowOrIgnore(7), Fill::Special, Fill::Below(1000)),
        (3001, 2, Fill::Below(2), Fill::Any, Fill::Only((1 << 24) - 7)),
        (65, 256, Fill::Below(256), Fill::Any, Fill::Only(u32::MAX)),
        (5, 4, Fill::Only(4), Fill::Any, Fill::Only(1)),
    ] {
        let counts = |shape: &[usize], fill| Input { ty: TensorType::u32(shape), fill };
        let inputs = vec![counts(&[c, c + 2], counted), float(&[n, c], logits), counts(&[n], labels)];
        let build = |g: &mut Graph, i: &[NodeId]| g.tally(i[0], i[1], i[2]);
        cases.push(update(&format!("tally {n}x{c}"), inputs, Box::new(build)));
    }
    cases
}

/// Lengths that are not a multiple of four, planes that end within a block, the smallest and largest counters.
fn dropouts() -> Vec<Case> {
    let mut cases = vec![];
    for (shape, p) in [(&[1][..], 0.5), (&[7, 13], 0.2), (&[2, 3, 5, 7], 0.5), (&[4, 70, 3, 3], 0.9), (&[1030], 0.0)] {
        for (number, seed) in [(0, 1), (5, u64::MAX), (u32::MAX, 0x0123_4567_89ab_cdef)] {
            let dropout = |what: &str, build: fn(&mut Graph, &[NodeId], f32, u64) -> crate::Result<NodeId>| {
                let name = format!("{what} {shape:?} p {p} step {number}");
                let mut case = case(name, &[shape], move |g, i| build(g, i, p, seed));
                case.inputs.push(Input { ty: TensorType::u32([1]), fill: Fill::Only(number) });
                case
            };
            cases.push(dropout("dropout", |g, i, p, seed| g.dropout(i[0], i[1], p, seed)));
            cases.push(dropout("dropout special", |g, i, p, seed| g.dropout(i[0], i[1], p, seed)).fill(Fill::Special));
            if shape.len() > 1 {
                cases.push(dropout("spatial dropout", |g, i, p, seed| g.spatial_dropout(i[0], i[1], p, seed)));
            }
        }
    }
    for (begun, number, every) in [(0, 0, 1), (700, 31, 1), (700, 31, 8), (1, u32::MAX, 2)] {
        let name = format!("clock {begun} + {number} / {every}");
        let mut clock = case(name, &[], move |g, i| g.update_clock(i[0], i[1], every)).forward_only();
        clock.inputs = [begun, number].map(|n| Input { ty: TensorType::u32([1]), fill: Fill::Only(n) }).into();
        cases.push(clock);
    }
    cases
}

/// Bounds above and below the norms; NaN and infinities.
fn clips() -> Vec<Case> {
    let mut cases = vec![];
    for shape in [&[1][..], &[64], &[3, 5, 7], &[70_001]] {
        for most in [0.3, 1e-6, 1e6] {
            for (what, fill) in [("", Fill::Any), (", special", Fill::Special), (", large", Fill::Large)] {
                let by_value =
                    case(format!("clip_value {most} {shape:?}{what}"), &[shape], move |g, i| g.clip_value(i[0], most));
                let by_norm =
                    case(format!("clip_norm {most} {shape:?}{what}"), &[shape], move |g, i| g.clip_norm(i[0], most));
                cases.extend([by_value, by_norm].map(|case| case.fill(fill).forward_only()));
            }
        }
    }
    cases
}
