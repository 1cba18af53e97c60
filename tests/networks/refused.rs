//! What is said about a file that describes no network: the line, the layer, the key, what is allowed.

use lenslet::nn::Network;

/// A file with these lines as its layers, from line 3 on.
fn error(layers: &str) -> String {
    Network::from_toml(&format!("input = [1, 12, 12]\nlayer = [\n{layers}\n]\n")).unwrap_err().to_string()
}

const CONV: &str = "{ kind = 'conv2d', filters = 4, size = 3 },";

#[test]
fn keys() {
    let keys = "the keys are kind, name, filters, size, stride, padding, dilation, ceil_mode, groups, bias, init, trainable, \
                input";
    for (layers, expected) in [
        (
            "{ kind = 'conv2d', filter = 4, size = 3 }",
            format!("line 3: layer 1 (conv2d): unknown key \"filter\" (did you mean \"filters\"?); {keys}"),
        ),
        (
            "{ kind = 'conv2d', name = 'stem', filters = 4, size = 3, colour = 1 }",
            format!("line 3: layer \"stem\" (conv2d): unknown key \"colour\"; {keys}"),
        ),
        ("{ kind = 'conv2d', size = 3 }", "line 3: layer 1 (conv2d): the key \"filters\" is missing".into()),
        (
            "{ kind = 'max_pool2d',\n  size = '2' }",
            "line 4: layer 1 (max_pool2d): size: expected a whole number for both axes, or [vertical, horizontal], found '2'"
                .into(),
        ),
        (
            "{ kind = 'conv2d', filters = -4, size = 3 }",
            "line 3: layer 1 (conv2d): filters: expected a whole number, found -4".into(),
        ),
        (
            "{ kind = 'conv2d', filters = 4, size = 3, bias = 'no' }",
            "line 3: layer 1 (conv2d): bias: expected true or false, found 'no'".into(),
        ),
        (
            "{ kind = 'conv2d', filters = 4, size = 3, padding = 'some' }",
            "line 3: layer 1 (conv2d): padding: expected \"same\", \"same_lower\", \"valid\", a whole number for all sides, \
             [vertical, horizontal] or [top, bottom, left, right], found 'some'"
                .into(),
        ),
        (
            "{ kind = 'flatten', trainable = false }",
            "line 3: layer 1 (flatten): unknown key \"trainable\"; the keys are kind, name, input".into(),
        ),
        (
            "{ kind = 'relu', slope = 1 }",
            "line 3: layer 1 (relu): unknown key \"slope\"; the keys are kind, name, input".into(),
        ),
        ("{ kind = 'elu', alpha = nan }", "line 3: layer 1 (elu): alpha: expected a number, found nan".into()),
        ("{ kind = 3 }", "line 3: layer 1: kind: expected a text in quotes, found 3".into()),
        ("'relu'", "line 3: layer: expected a table such as { kind = \"relu\" }, found 'relu'".into()),
    ] {
        assert_eq!(error(layers), expected);
    }
    let unknown = error("{ kind = 'conv', filters = 4, size = 3 }");
    let known = "the kinds are conv2d, conv_transpose2d, max_pool2d, ";
    assert!(unknown.starts_with("line 3: layer 1: unknown kind \"conv\" (did you mean \"conv2d\"?); "), "{unknown}");
    assert!(unknown.contains(known), "{unknown}");
    let missing = error(&format!("{CONV}\n{{ type = 'relu' }}"));
    assert!(missing.starts_with("line 4: layer 2: the key \"kind\" is missing; the kinds are "), "{missing}");
}

#[test]
fn numbers_of_channels() {
    let of = |mean: &str, deviation: &str| {
        error(&format!("{CONV}\n{{ kind = 'normalize', mean = {mean}, deviation = {deviation} }}"))
    };
    let each = "expected 1 number for all channels, or 4, one for each channel";
    let (layer, key) = ("line 4: layer \"normalize1\"", "line 4: layer 2 (normalize)");
    let number = "expected a number, or a list with one for each channel";
    for (mean, deviation, expected) in [
        ("[0.5, 0.5]", "1", format!("{layer}: mean: {each}, found 2")),
        ("0", "[1, 2, 3, 4, 5]", format!("{layer}: deviation: {each}, found 5")),
        ("0", "0", format!("{layer}: deviation: expected numbers above 0, from 1e-37 to 1e37, found 0")),
        ("0", "[1, 1, -2, 1]", format!("{layer}: deviation: expected numbers above 0, from 1e-37 to 1e37, found -2")),
        ("nan", "1", format!("{key}: mean: {number}, found nan")),
        ("[0, inf, 0, 0]", "1", format!("{key}: mean: expected a number, found inf")),
        ("0", "[]", format!("{key}: deviation: expected at least one number, found []")),
        ("'auto'", "1", format!("{key}: mean: {number}, found 'auto'")),
    ] {
        assert_eq!(of(mean, deviation), expected);
    }
    let missing = error("{ kind = 'normalize', mean = 0.5 }");
    assert_eq!(missing, "line 3: layer 1 (normalize): the key \"deviation\" is missing");
}

#[test]
fn wiring() {
    for (layers, expected) in [
        (
            "{ kind = 'conv2d', name = 'stem', filters = 4, size = 3 },\n{ kind = 'relu', input = 'stemm' },",
            "line 4: layer \"relu1\": input: expected \"input\" or the name of a layer above it, found \"stemm\" (did you \
             mean \"stem\"?)",
        ),
        // Of two layers that read each other, the upper one reads what is below it.
        (
            "{ kind = 'relu', name = 'a', input = 'b' },\n{ kind = 'relu', name = 'b', input = 'a' },",
            "line 3: layer \"a\": input: expected \"input\" or the name of a layer above it, found \"b\", which comes after \
             it",
        ),
        (
            "{ kind = 'relu', name = 'a', input = 'a' },",
            "line 3: layer \"a\": input: expected \"input\" or the name of a layer above it, found its own",
        ),
        (
            "{ kind = 'relu', name = 'a' },\n{ kind = 'tanh', name = 'a' },",
            "line 4: layer \"a\": name: expected a name that no other layer has, found that of layer 1; layers without a \
             name are numbered by kind",
        ),
        (
            "{ kind = 'relu', name = 'a' },\n{ kind = 'tanh', input = 'input' },",
            "line 3: layer \"a\": expected a later layer that reads it, as only the last layer gives the output, found none",
        ),
        ("{ kind = 'add' }", "line 3: layer 1 (add): the key \"inputs\" is missing"),
        (
            "{ kind = 'add', input = 'input' }",
            "line 3: layer 1 (add): unknown key \"input\" (did you mean \"inputs\"?); the keys are kind, name, inputs",
        ),
        ("{ kind = 'add', inputs = ['input'] }", "line 3: add \"add1\": inputs: expected at least 2, found 1"),
        (
            "{ kind = 'concat', inputs = 'input' }",
            "line 3: layer 1 (concat): inputs: expected a list of names such as [\"conv1\", \"input\"], found 'input'",
        ),
    ] {
        assert_eq!(error(layers), expected);
    }
}

#[test]
fn shapes() {
    let fits = "window of 11 rows does not fit the input of 10 rows with padding 0 + 0; use a window of at most 10, or padding \
                of at least 0 + 1";
    let large = format!("{CONV}\n{{ kind = 'max_pool2d', size = 11 }},");
    assert_eq!(error(&large), format!("line 4: max_pool2d \"pool1\": {fits}"));
    let sum = error(&format!("{CONV}\n{{ kind = 'relu' }},\n{{ kind = 'add', inputs = ['relu1', 'input'] }}"));
    assert!(sum.starts_with("line 5: add \"add1\": ") && sum.contains("do not broadcast"), "{sum}");
    let dense = error(&format!("{CONV}\n{{ kind = 'dense', units = 10 }}"));
    assert!(dense.starts_with("line 4: dense \"fc1\": ") && dense.contains("flatten"), "{dense}");
}

#[test]
fn the_top() {
    let layers = "layer = [{ kind = 'relu' }]";
    for (text, expected) in [
        (layers.to_string(), "line 1: the key \"input\" is missing"),
        ("input = [1, 8, 8]".into(), "line 1: the key \"layer\" is missing: the list of layers"),
        (
            format!("inputs = [1, 8, 8]\n{layers}"),
            "line 1: unknown key \"inputs\" (did you mean \"input\"?); the keys are name, input, layer, augment",
        ),
        (
            format!("name = 'a'\ninput = [1, 0, 8]\n{layers}"),
            "line 2: input: expected the extents of one input, such as [1, 28, 28] or [features], found [1, 0, 8]",
        ),
        (
            format!("name = '../a'\ninput = [1, 8, 8]\n{layers}"),
            "line 1: name: expected a name that a folder can have, found \"../a\"",
        ),
        (
            "input = [1, 8, 8]\nlayer = []".into(),
            "line 2: layer: expected a list of layers, [{ kind = \"conv2d\", .. }, ..] or [[layer]] for each, found []",
        ),
        (format!("input = [8]\naugment = 3\n{layers}"), "line 2: augment: expected a table, [augment], found 3"),
        (
            format!("input = [8]\n{layers}\n[augment]\nshift = 0.1\nrotate = 200"),
            "line 5: augment: rotate: expected 0 to 180, found 200",
        ),
    ] {
        assert_eq!(Network::from_toml(&text).unwrap_err().to_string(), expected);
    }
    for (line, expected) in [
        ("rotation = 10", "line 4: augment: unknown field `rotation`, expected one of `rotate`"),
        ("flip = true", "line 4: augment: "),
        ("zoom = [2, 1]", "line 4: augment: zoom: expected "),
    ] {
        let text = format!("input = [8]\n{layers}\n[augment]\n{line}");
        let error = Network::from_toml(&text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let syntax = Network::from_toml("input = [1,\nlayer").unwrap_err().to_string();
    assert!(syntax.starts_with("line 2: not TOML: "), "{syntax}");
    let twice = Network::from_toml("input = [1]\ninput = [2]").unwrap_err().to_string();
    assert!(twice.starts_with("line 2: not TOML: duplicate key"), "{twice}");
    let tables = "input = [1, 8, 8]\n\n[[layer]]\nkind = 'relu'\n\n[[layer]]\nkind = 'pad'\n";
    let tables = Network::from_toml(tables).unwrap_err().to_string();
    assert_eq!(tables, "line 6: layer 2 (pad): the key \"padding\" is missing");
}

#[test]
fn files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("net.toml");
    let error = || Network::load(&file).unwrap_err().to_string();
    assert!(error().contains("net.toml: cannot read: "), "{}", error());
    std::fs::write(&file, "input = [1, 8, 8]\nlayer = [{ kind = 'rely' }]").unwrap();
    assert!(error().contains("net.toml:2: layer 1: unknown kind \"rely\" (did you mean \"relu\"?)"), "{}", error());
    std::fs::write(&file, [0xff, 0xfe, 0]).unwrap();
    assert!(error().ends_with("net.toml: expected TOML, found what is not text"), "{}", error());
}
