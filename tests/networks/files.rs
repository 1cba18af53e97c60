//! Files and builders mean the same.

use std::path::Path;

use lenslet::data::Augment;
use lenslet::models;
use lenslet::nn::{Init, Layer, Layout, Network, Role, Summary, setting};
use proptest::prelude::*;

#[test]
fn every_network_by_name_is_a_file_too() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/models");
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let stem = |file: &Path| file.file_stem().unwrap().to_str().unwrap().to_string();
    files.sort_by_key(|file| stem(file));
    let stems: Vec<_> = files.iter().map(|file| stem(file)).collect();
    let mut names = models::NAMES;
    names.sort_unstable();
    assert_eq!(stems, names);
    for (file, name) in files.iter().zip(names) {
        let built = models::by_name(name).unwrap();
        same_or_written(file, &built.to_toml());
        assert_eq!(Network::load(file).unwrap(), built);
    }
}

/// Holds that a file has this text. With `REGENERATE=1` in the environment it is written.
fn same_or_written(file: &Path, text: &str) {
    if std::env::var_os("REGENERATE").is_some_and(|value| value == "1") {
        std::fs::write(file, text).unwrap();
    }
    let found = std::fs::read_to_string(file).unwrap().replace("\r\n", "\n");
    let how = "REGENERATE=1 cargo test --test networks files writes it anew";
    assert!(found == text, "{} is not as src has it; {how}. It should be:\n{text}", file.display());
}

#[test]
fn the_guide_s_table_is_that_of_the_layers() {
    let rows = |title: &str, rows: Vec<String>| format!("{title}\n{}\n", rows.join("\n"));
    // Kinds that differ in nothing but the name share a row.
    let mut kinds: Vec<(String, Vec<String>)> = vec![];
    let mut options: Vec<(String, Vec<String>)> = vec![];
    for layer in Layer::kinds() {
        let list = layer.with_options(|list| {
            let own = list.iter().filter(|option| option.key != "trainable");
            own.map(|option| (option.key, option.about, setting::documented(option))).collect::<Vec<_>>()
        });
        let keys: Vec<_> = list.iter().map(|(_, _, text)| text.as_str()).collect();
        gather(&mut kinds, format!("{} | {}", layer.about(), keys.join(", ")), layer.kind());
        list.iter().for_each(|(key, about, _)| gather(&mut options, about.to_string(), key));
    }
    let kinds = kinds.iter().map(|(rest, names)| {
        let joins = if Layer::of_kind(&names[0]).unwrap().role() == Role::Join { "`inputs`" } else { "" };
        let comma = if joins.is_empty() || rest.ends_with("| ") { "" } else { ", " };
        let (about, keys) = rest.split_once(" | ").unwrap();
        format!("| {} | {about} | {joins}{comma}{keys} |", quoted(names)).replace("|  |", "| |")
    });
    let options = options.iter().map(|(about, keys)| format!("| {} | {about} |", quoted(keys)));
    let tables = format!(
        "{}\n{}",
        rows("| kind | | options, with their defaults |\n|---|---|---|", kinds.collect()),
        rows("| option | |\n|---|---|", options.collect()),
    );
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/your-network.md");
    let page = std::fs::read_to_string(&file).unwrap().replace("\r\n", "\n");
    let [begin, end] = ["<!-- layers -->\n", "<!-- end of layers -->"];
    let (before, rest) = page.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    same_or_written(&file, &format!("{before}{begin}\n{tables}\n{end}{after}"));
}

/// Adds a name to the row of that text, or a row.
fn gather(rows: &mut Vec<(String, Vec<String>)>, text: String, name: &str) {
    match rows.iter_mut().find(|(other, _)| *other == text) {
        Some((_, names)) if names.iter().any(|other| other == name) => {}
        Some((_, names)) => names.push(name.into()),
        None => rows.push((text, vec![name.into()])),
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[test]
fn the_guide_s_networks_are_networks() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let page = std::fs::read_to_string(docs.join("your-network.md")).unwrap();
    let blocks: Vec<&str> = page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!blocks.is_empty());
    for block in &blocks {
        Network::from_toml(block).unwrap_or_else(|error| panic!("{error}\n{block}"));
    }
    let residual = std::fs::read_to_string(docs.join("residual.toml")).unwrap();
    assert!(blocks.contains(&residual.as_str()), "docs/your-network.md does not show docs/residual.toml");
}

#[test]
fn a_file_without_a_name_is_called_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("small.toml");
    std::fs::write(&file, "input = [4]\n[[layer]]\nkind = \"dense\"\nunits = 2\n").unwrap();
    let net = Network::load(&file).unwrap();
    assert_eq!(net.to_toml(), "name = \"small\"\ninput = [4]\n\nlayer = [\n    { kind = \"dense\", units = 2 },\n]\n");
}

#[test]
fn tables_and_a_list_are_the_same() {
    let list = "input = [2, 8, 8]\nlayer = [{ kind = 'conv2d', name = 'a', filters = 2, size = 3, padding = 'same' },
                { kind = 'add', inputs = ['a', 'input'] }]\n[augment]\nrotate = 10\nshift = 0.1\n";
    let tables = "[augment]\nrotate = 10\nshift = 0.1
        [[layer]]\nkind = 'conv2d'\nname = 'a'\nfilters = 2\nsize = 3\npadding = 'same'
        [[layer]]\nkind = 'add'\ninputs = ['a', 'input']\n";
    let tables = format!("input = [2, 8, 8]\n{tables}");
    let [list, tables] = [list, tables.as_str()].map(|text| Network::from_toml(text).unwrap());
    assert_eq!(list, tables);
    assert_eq!(list.augment(), Some(Augment::default().rotate(10.0).shift(0.1)));
    let text = list.to_toml();
    assert!(text.ends_with("]\n\n[augment]\nrotate = 10.0\nshift = 0.1\n"), "{text}");
    assert_eq!(Network::from_toml(&text).unwrap(), list);
}

/// A layer that fits any map of at least one row, with options at random.
fn layer() -> impl Strategy<Value = Layer> {
    let init = prop_oneof![
        Just(Init::default()),
        Just(Init::GlorotNormal),
        Just(Init::LeCunUniform),
        (0f32..1.0).prop_map(|std| Init::Normal { mean: 0.1, std }),
        (-1f32..0.0, 0f32..1.0).prop_map(|(low, high)| Init::Uniform { low, high }),
        any::<f32>().prop_filter("finite", |v| v.is_finite()).prop_map(Init::Constant),
        (0f32..2.0).prop_map(|gain| Init::Orthogonal { gain }),
    ];
    let conv = (1usize..5, [1usize..4, 1..4], [1usize..3, 1..3], any::<[bool; 2]>(), init);
    prop_oneof![
        4 => conv.prop_map(|(filters, size, stride, [bias, trainable], init)| {
            let padding = lenslet::Padding::Explicit { top: size[0] - 1, bottom: 0, left: size[1] - 1, right: 1 };
            Layer::conv2d(filters, size).stride(stride).padding(padding).bias(bias).init(init).trainable(trainable)
        }),
        1 => (1usize..4).prop_map(|k| Layer::max_pool2d(k).stride(1).padding(lenslet::Padding::Same)),
        1 => (1usize..4, any::<bool>()).prop_map(|(k, counts)| {
            Layer::avg_pool2d(k).padding(lenslet::Padding::SameLower).count_include_pad(counts)
        }),
        1 => (0f32..0.9).prop_map(Layer::dropout),
        1 => (0.01f32..1.0, 1e-6f32..1.0, any::<bool>()).prop_map(|(momentum, epsilon, affine)| {
            Layer::batch_norm().momentum(momentum).epsilon(epsilon).affine(affine)
        }),
        1 => (-1f32..1.0, 0.1f32..9.0).prop_map(|(mean, deviation)| Layer::normalize([mean], [deviation])),
        1 => Just(Layer::relu()),
        1 => (0f32..1.0).prop_map(|slope| Layer::activation_with("leaky_relu", slope)),
        1 => any::<bool>().prop_map(|shared| if shared { Layer::prelu_shared() } else { Layer::prelu() }),
        1 => (1usize..3).prop_map(Layer::pad),
        1 => (1usize..3).prop_map(Layer::pad_channels),
        1 => (-2f32..0.0, 0f32..2.0).prop_map(|(min, max)| Layer::clip(min, max)),
        1 => Just(Layer::permute([1, 3, 2])),
    ]
}

/// A network of such layers with branches: each may read any before it, and ends that nothing reads are joined by their
/// means.
fn network() -> impl Strategy<Value = Network> {
    let layers = prop::collection::vec((layer(), any::<prop::sample::Index>(), any::<bool>(), any::<bool>()), 1..12);
    (layers, "[a-z]([a-z \"'#\\\\é-]{0,8}[a-z])?").prop_map(|(layers, name)| {
        let mut net = Network::new([2, 9, 7]).named(format!("drawn-{}", name.replace('\\', "")));
        let mut ends = vec![];
        for (number, (layer, from, branches, named)) in layers.into_iter().enumerate() {
            let mut names = net.names();
            names.push("input".into());
            let from = if branches { from.get(&names).clone() } else { net.last() };
            ends.retain(|end| *end != from);
            net = net.after(from).layer(layer);
            if named {
                net = net.named(format!("{number}.{name}"));
            }
            ends.push(net.last());
        }
        let mut pooled = vec![];
        for end in ends {
            net = net.after(end).stack([Layer::adaptive_avg_pool2d([2, 1]), Layer::flatten(), Layer::dense(3)]);
            pooled.push(net.last());
        }
        if pooled.len() > 1 { net.sum(pooled) } else { net }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_networks_survive_a_file(net in network()) {
        let text = net.to_toml();
        let read = Network::from_toml(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(&read, &net, "{}", text);
        prop_assert_eq!(read.to_toml(), text);
        prop_assert_eq!(Summary::of(&read).unwrap(), Summary::of(&net).unwrap());
        prop_assert_eq!(Layout::of(&read).unwrap(), Layout::of(&net).unwrap());
    }
}
