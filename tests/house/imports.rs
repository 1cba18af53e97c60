//! Which file imports which, by the names it uses: re-exports are followed to the file that defines the name.

use std::collections::{BTreeMap, BTreeSet};

use super::{House, Source, is_word};

/// The imports between the files of `src`.
pub struct Imports {
    /// For each file, the files that define what it uses.
    pub of: BTreeMap<String, BTreeSet<String>>,
}

/// The path of a module, without `crate`.
type Module = Vec<String>;

/// What resolves names to files.
struct Names {
    files: BTreeMap<Module, String>,
    /// For each module, the names that it re-exports and the path of each.
    passed_on: BTreeMap<Module, BTreeMap<String, String>>,
}

impl Imports {
    pub fn of(house: &House) -> Self {
        let sources = || house.files.iter().filter(|file| file.path != "src/main.rs");
        let mut names = Names { files: BTreeMap::new(), passed_on: BTreeMap::new() };
        for file in sources() {
            names.files.insert(module(file), file.path.clone());
            let passed_on = names.passed_on.entry(module(file)).or_default();
            for leaf in statements(&file.code).filter(|(is_public, _)| *is_public).flat_map(|(_, tree)| leaves(tree)) {
                let (path, name) =
                    leaf.split_once(" as ").map_or((&*leaf, leaf.rsplit("::").next()), |(p, n)| (p, Some(n)));
                passed_on.insert(name.unwrap_or_default().to_string(), path.to_string());
            }
        }
        let of = |file: &Source| {
            let used = uses(&file.code).into_iter().filter_map(|path| names.file(&path, &module(file), 0));
            used.filter(|used| *used != file.path).collect()
        };
        Self { of: sources().map(|file| (file.path.clone(), of(file))).collect() }
    }

    /// Groups of files each of which imports all others of its group, directly or through others.
    pub fn circles(&self) -> Vec<Vec<&str>> {
        let reached: BTreeMap<&str, BTreeSet<&str>> =
            self.of.keys().map(|file| (&**file, self.reached(file))).collect();
        let mut circles: BTreeSet<Vec<&str>> = BTreeSet::new();
        for (file, others) in &reached {
            if others.contains(file) {
                let back = |other: &&&str| reached.get(**other).is_some_and(|of_other| of_other.contains(file));
                circles.insert(others.iter().filter(back).copied().collect());
            }
        }
        circles.into_iter().collect()
    }

    /// All files that a file imports, directly or through others.
    fn reached(&self, file: &str) -> BTreeSet<&str> {
        let (mut reached, mut open) = (BTreeSet::new(), vec![file]);
        while let Some(file) = open.pop() {
            for next in self.of.get(file).into_iter().flatten() {
                if reached.insert(&**next) {
                    open.push(next);
                }
            }
        }
        reached
    }
}

impl Names {
    /// The file that defines `path` as it stands in `module`.
    fn file(&self, path: &str, module: &[String], depth: usize) -> Option<String> {
        let mut names = path.split("::").peekable();
        let mut at = module.to_vec();
        match names.peek() {
            Some(&"crate" | &"lenslet") => {
                at.clear();
                names.next();
            }
            _ => {
                while names.next_if_eq(&"super").is_some() {
                    at.pop();
                }
                names.next_if_eq(&"self");
            }
        }
        while let Some(name) = names.next() {
            at.push(name.to_string());
            if self.files.contains_key(&at) {
                continue;
            }
            at.pop();
            let passed_on = self.passed_on.get(&at).and_then(|of_module| of_module.get(name)).filter(|_| depth < 10);
            let Some(path) = passed_on else { break };
            let path = std::iter::once(&**path).chain(names).collect::<Vec<_>>().join("::");
            return self.file(&path, &at, depth + 1);
        }
        self.files.get(&at).cloned()
    }
}

fn module(file: &Source) -> Module {
    let path = file.path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    if path == "lib" { vec![] } else { path.split('/').map(String::from).collect() }
}

/// The `use` statements: whether each re-exports, and its tree.
fn statements(code: &str) -> impl Iterator<Item = (bool, &str)> {
    let begins = code.match_indices("use ").filter(|(at, _)| !code[..*at].ends_with(is_word));
    begins.filter_map(|(at, keyword)| {
        let (tree, _) = code[at + keyword.len()..].split_once(';')?;
        let line = code[..at].rsplit('\n').next().unwrap_or_default();
        Some((line.trim_start().starts_with("pub"), tree))
    })
}

/// The paths that code uses: those of private `use` statements, and those that stand in expressions and types.
fn uses(code: &str) -> Vec<String> {
    let mut rest = code.to_string();
    let mut found = vec![];
    for (is_public, tree) in statements(code) {
        if !is_public && ["crate", "super", "self", "lenslet"].contains(&tree.split("::").next().unwrap_or_default()) {
            found.extend(leaves(tree));
        }
        rest = rest.replacen(tree, "", 1);
    }
    for root in ["crate::", "super::", "lenslet::"] {
        for (at, _) in rest.match_indices(root) {
            let is_inside = rest[..at].ends_with(|c: char| is_word(c) || c == ':' || c == '$');
            let path = rest[at..].split(|c: char| !is_word(c) && c != ':').next().unwrap_or_default();
            if !is_inside {
                found.push(path.trim_end_matches(':').to_string());
            }
        }
    }
    found
}

/// The paths of a tree: of `a::{b, c::{d, e}}` these are `a::b`, `a::c::d` and `a::c::e`.
fn leaves(tree: &str) -> Vec<String> {
    let tree = tree.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some((prefix, group)) = tree.split_once('{') else {
        return vec![tree.trim_end_matches("::self").to_string()];
    };
    let group = group.rsplit_once('}').map_or(group, |(inner, _)| inner);
    let (mut found, mut depth, mut begin) = (vec![], 0, 0);
    let ends = group.char_indices().chain([(group.len(), ',')]);
    for (at, c) in ends {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let of_part = leaves(&format!("{prefix}{}", group[begin..at].trim()));
                found.extend(of_part.into_iter().filter(|leaf| !leaf.ends_with("::")));
                begin = at + 1;
            }
            _ => {}
        }
    }
    found
}

mod reading {
    use super::*;

    fn house(files: &[(&str, &str)]) -> House {
        let file =
            |(path, code): &(&str, &str)| Source { path: (*path).into(), text: (*code).into(), code: (*code).into() };
        House { files: files.iter().map(file).collect(), passed_on: BTreeMap::new() }
    }

    #[test]
    fn names_are_followed_to_the_files_that_define_them() {
        let house = house(&[
            ("src/lib.rs", "pub mod a;\npub use a::Thing;\n"),
            ("src/a/mod.rs", "mod b;\nmod c;\npub use b::{Thing, other as renamed};\n"),
            ("src/a/b.rs", "use super::c::{self, d};\npub struct Thing;\n"),
            ("src/a/c.rs", "fn f() -> crate::Thing { crate::a::renamed() }\n"),
            ("src/d.rs", "use crate::a::{b::{Thing}, c};\n"),
        ]);
        let imports = Imports::of(&house);
        let of = |file: &str| imports.of[file].iter().map(String::as_str).collect::<Vec<_>>();
        assert_eq!(of("src/lib.rs"), [""; 0]);
        assert_eq!(of("src/a/b.rs"), ["src/a/c.rs"]);
        assert_eq!(of("src/a/c.rs"), ["src/a/b.rs"]);
        assert_eq!(of("src/d.rs"), ["src/a/b.rs", "src/a/c.rs"]);
        assert_eq!(imports.circles(), [["src/a/b.rs", "src/a/c.rs"]]);
    }
}
