//! A WGSL file, read once: its bindings, its entry point, its marks, and whether it keeps to the dialect of
//! `shaders/README.md`. Only files that do are joined, inlined, sliced or rewritten.

use std::collections::{HashMap, HashSet};
use std::sync::{LazyLock, Mutex};

use crate::kernel::line::{Declaration, Resource, code, is_word, pieces};
use crate::kernel::unroll::header;
use crate::kernel::{COMMON, JOINED};

/// What the loader knows of a file.
#[derive(Debug, Default)]
pub(crate) struct File {
    /// In order of the text, with their names.
    pub resources: Vec<(&'static str, Resource<'static>)>,
    /// The number of `@binding` attributes.
    pub declared: usize,
    /// The entry point's name.
    pub entry: Option<&'static str>,
    /// What stands in `@workgroup_size(..)`.
    pub size: Option<&'static str>,
    pub uses_subgroups: bool,
    /// Whether the invocations of a workgroup depend on each other.
    pub is_fixed: bool,
    /// Whether `value(i)` is element `i` of the output.
    pub has_value: bool,
    /// Whether it numbers workgroups by `workgroup_index`, and so may run on a folded grid.
    pub folds: bool,
    /// How it departs from the dialect: each rule with the line.
    pub departures: Vec<String>,
}

/// Files read so far, by name and address of the text: static texts stay where they are.
type Read = HashMap<(&'static str, usize, usize), &'static File>;
static READ: LazyLock<Mutex<Read>> = LazyLock::new(Mutex::default);

/// What a file of this name says.
pub(super) fn read(name: &'static str, source: &'static str) -> &'static File {
    let mut read = READ.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let key = (name, source.as_ptr() as usize, source.len());
    read.entry(key).or_insert_with(|| Box::leak(Box::new(File::of(name, source))))
}

impl File {
    fn of(name: &'static str, source: &'static str) -> Self {
        let mut file = Self::default();
        let text: Vec<&str> = source.lines().map(code).collect();
        let of = |line| Declaration::of(line).and_then(|declared| Some((declared.name, declared.binding?)));
        file.resources = source.lines().filter_map(of).collect();
        file.declared = text.iter().map(|line| line.matches("@binding(").count()).sum();
        let whole = text.join("\n");
        let has = |word: &str| pieces(&whole).any(|(piece, _)| piece == word);
        file.uses_subgroups = whole.contains("@builtin(subgroup_");
        let synchronizes = ["workgroupBarrier", "storageBarrier", "textureBarrier", "workgroupUniformLoad"];
        file.is_fixed = file.uses_subgroups || synchronizes.into_iter().any(has) || whole.contains("var<workgroup>");
        file.folds = has("workgroup_index") && !has("global_invocation_id");
        let entries = entries(source);
        let entry = entries.iter().find(|entry| **entry == name).or(entries.first());
        file.entry = entry.copied();
        file.size = source.split_once("@workgroup_size(").and_then(|(_, rest)| Some(rest.split_once(')')?.0.trim()));
        let mut rules = Rules { file: name, text: &text, source, departures: vec![] };
        rules.hold(&file);
        file.departures = rules.departures;
        file.has_value = file.departures.is_empty() && source.lines().any(|line| line == VALUE);
        file
    }
}

/// Names of the functions after `@compute`.
fn entries(source: &'static str) -> Vec<&'static str> {
    let is_code = |at: usize| !source[source[..at].rfind('\n').map_or(0, |end| end + 1)..at].contains("//");
    let mut entries = vec![];
    for (at, _) in source.match_indices("@compute").filter(|(at, _)| is_code(*at)) {
        let mut words = source[at..].lines().flat_map(|line| code(line).split(|c| !is_word(c)));
        if words.any(|word| word == "fn") {
            entries.extend(words.find(|word| !word.is_empty()));
        }
    }
    entries
}

const VALUE: &str = "fn value(i: u32) -> f32 {";
const EPILOGUE: &str = "fn epilogue(v: f32, i: u32) -> f32 { return v; }";
const BUILTINS: [&str; 4] = ["workgroup_id", "num_workgroups", "local_invocation_index", "subgroup_invocation_id"];

/// The rules of `shaders/README.md`, by their numbers there.
struct Rules<'a> {
    file: &'a str,
    /// Lines without comments.
    text: &'a [&'a str],
    source: &'a str,
    departures: Vec<String>,
}

impl<'a> Rules<'a> {
    fn depart(&mut self, rule: usize, line: usize, how: &str) {
        self.departures.push(format!("rule {rule}, line {}: {how}", line + 1));
    }

    fn hold(&mut self, file: &File) {
        self.layout();
        self.bindings(file);
        self.entry(file);
        self.names(file);
        self.accesses(file);
        self.marks(file);
    }

    /// Rule 1 and 2: where declarations stand.
    fn layout(&mut self) {
        let (mut braces, mut parentheses) = (0i32, 0i32);
        for (number, line) in self.text.iter().enumerate() {
            let at_module_scope = braces == 0 && parentheses == 0;
            let begins = line.starts_with(|c: char| !c.is_whitespace());
            let count = |c: char| line.matches(c).count() as i32;
            if line.contains("/*") {
                self.depart(1, number, "write comments as //, not as /* */");
            }
            if at_module_scope && !line.is_empty() {
                let declared = Declaration::of(line);
                if line.starts_with("@compute") {
                } else if !begins || declared.is_none() {
                    self.depart(
                        1,
                        number,
                        "begin each const, alias, struct, fn, var<workgroup> or binding at column 0",
                    );
                } else if let Some(Declaration { keyword: "const" | "alias" | "var", binding: None, .. }) = declared
                    && !line.ends_with(';')
                {
                    self.depart(2, number, "write a const, an alias or a variable in one line");
                }
                let is_memory =
                    line.starts_with("var<workgroup> ") && line.contains(": array<") && line.ends_with(">;");
                if line.starts_with("var<") && !is_memory {
                    self.depart(2, number, "the only variables are arrays: var<workgroup> NAME: array<T, N>;");
                }
            } else if begins && !line.starts_with(['}', ')']) {
                self.depart(1, number, "indent what is inside a declaration");
            }
            braces += count('{') - count('}');
            parentheses += count('(') - count(')');
        }
    }

    /// Rule 3: bindings.
    fn bindings(&mut self, file: &File) {
        let mut numbers = HashSet::new();
        for (number, line) in self.text.iter().enumerate().filter(|(_, line)| line.contains("@binding(")) {
            let own = Declaration::of(line).and_then(|declared| declared.binding);
            let known = ["storage, read", "storage, read_write", "uniform", ""];
            let fits = own.is_some_and(|own| known.contains(&own.space) && numbers.insert(own.number));
            if !fits || !line.ends_with(';') {
                self.depart(
                    3,
                    number,
                    "write a binding as @group(0) @binding(N) var<storage, read> NAME: TYPE; in one line",
                );
            }
        }
        if file.resources.len() != file.declared {
            self.depart(3, 0, "write one binding a line");
        }
    }

    /// Rules 4 to 6: the entry point, its builtins, the number of its workgroup.
    fn entry(&mut self, file: &File) {
        let at: Vec<usize> = (0..self.text.len()).filter(|&at| self.text[at].contains("@compute")).collect();
        let [at] = at[..] else { return self.depart(4, 0, "have one entry point") };
        let size = self.text[at].strip_prefix("@compute @workgroup_size(").and_then(|rest| rest.strip_suffix(')'));
        if !size.is_some_and(|size| size.chars().all(is_word)) {
            self.depart(4, at, "write @compute @workgroup_size(N) in a line, N a literal or a const of the file");
        }
        if file.entry != Some(self.file) || !self.text.get(at + 1).is_some_and(|l| l.starts_with("fn ")) {
            self.depart(4, at + 1, &format!("name the entry point {}, as the file", self.file));
        }
        let end = (at + 1..self.text.len()).find(|&line| self.text[line].ends_with('{')).unwrap_or(at);
        let head = self.text.get(at + 1..=end).unwrap_or_default().join(" ");
        let mut parameters = HashMap::new();
        for parameter in head.split("@builtin(").skip(1) {
            let (builtin, rest) = parameter.split_once(") ").unwrap_or((parameter, ""));
            parameters.insert(builtin, rest.split(':').next().unwrap_or_default());
        }
        let asked = head.split_once('(').map_or("", |(_, rest)| rest);
        let others = parameters.keys().any(|builtin| !BUILTINS.contains(builtin));
        if others
            || asked.matches(": ").count() != parameters.len()
            || self.source.lines().skip(at).take(end - at + 1).any(|l| l.contains("//"))
        {
            self.depart(5, at + 1, &format!("take no parameters but the builtins {}", BUILTINS.join(", ")));
        }
        let body = self.text.get(end + 1..).unwrap_or_default();
        let in_body =
            |word: &str| body.iter().flat_map(|line| pieces(line)).filter(|(piece, _)| *piece == word).count();
        let calls = self.text.iter().map(|line| line.matches("workgroup_index").count()).sum::<usize>();
        let written = body.iter().filter(|line| line.contains("workgroup_index(workgroup, grid)")).count();
        let numbers = [parameters.get("workgroup_id"), parameters.get("num_workgroups")];
        let none = numbers == [None, None] && calls == 0;
        let once = numbers == [Some(&"workgroup"), Some(&"grid")] && calls == 1 && written == 1;
        // The template of var<workgroup> stands at module scope only.
        if !(none || once && in_body("workgroup") == 1 && in_body("grid") == 1) {
            self.depart(
                6,
                at,
                "call workgroup_index(workgroup, grid) once, in the entry point, and use neither otherwise",
            );
        }
        if body.iter().any(|line| Declaration::of(line).is_some()) && !none && in_body("fn") > 0 {
            self.depart(4, at, "let the entry point come last");
        }
        if size.is_some_and(|size| !size.starts_with(|c: char| c.is_ascii_digit()))
            && !self
                .text
                .iter()
                .any(|l| Declaration::of(l).is_some_and(|d| d.keyword == "const" && Some(d.name) == size))
        {
            self.depart(4, at, "give the workgroup's size as a literal or a const of the file");
        }
    }

    /// Rule 7: names.
    fn names(&mut self, file: &File) {
        let common: HashSet<&str> = COMMON.lines().filter_map(Declaration::of).map(|declared| declared.name).collect();
        let bound: HashSet<&str> = file.resources.iter().map(|(name, _)| *name).collect();
        let declared: HashSet<&str> =
            self.text.iter().filter_map(|line| Declaration::of(line)).map(|d| d.name).collect();
        let mut in_struct = false;
        for (number, line) in self.text.iter().enumerate() {
            if let Some(declared) = Declaration::of(line) {
                let is_reserved = [JOINED, "factor", "first_workgroup"].contains(&declared.name);
                if is_reserved || common.contains(declared.name) {
                    self.depart(
                        7,
                        number,
                        &format!("the name {} is taken by the loader or a common function", declared.name),
                    );
                }
                in_struct = declared.keyword == "struct";
            }
            in_struct &= !line.starts_with('}');
            let member = line.trim_start().split(':').next().unwrap_or_default();
            if in_struct && line.starts_with(' ') && declared.contains(member) {
                self.depart(7, number, "give a member another name than every declaration");
            }
            let local = ["let ", "var ", "const "].into_iter().find_map(|keyword| {
                let begin = line.find(keyword).filter(|at| *at > 0 && !line[..*at].ends_with(is_word))?;
                line[begin + keyword.len()..].split(|c| !is_word(c)).next()
            });
            if local.is_some_and(|name| bound.contains(name)) && Declaration::of(line).is_none() {
                self.depart(7, number, "give a local variable another name than every binding");
            }
        }
    }

    /// Rule 8: how bindings are accessed.
    fn accesses(&mut self, file: &File) {
        let is_array = |ty: &str| ty.starts_with("array<");
        let bound: HashSet<&str> =
            file.resources.iter().filter(|(_, r)| is_array(r.ty)).map(|(name, _)| *name).collect();
        let mut hidden: HashSet<&str> = HashSet::new();
        for (number, line) in self.text.iter().enumerate() {
            let declared = Declaration::of(line);
            if declared.is_some_and(|declared| declared.binding.is_some()) {
                continue;
            }
            if declared.is_some_and(|declared| declared.keyword == "fn") {
                hidden = bound
                    .iter()
                    .copied()
                    .filter(|n| line.contains(&format!("({n}: ")) || line.contains(&format!(", {n}: ")))
                    .collect();
            }
            let (mut at, mut before) = (0, ' ');
            for (piece, first) in pieces(line) {
                let (head, rest) = (&line[..at], &line[at + piece.len()..]);
                if bound.contains(piece) && !hidden.contains(piece) && before != '.' {
                    let measured = head.ends_with("arrayLength(&");
                    let taken = head.ends_with('&') && !head.ends_with("&&") && !rest.starts_with('[');
                    if !measured && (taken || !rest.starts_with('[')) {
                        self.depart(8, number, &format!("access a binding as {piece}[..] or arrayLength(&{piece})"));
                    }
                    let after = super::storage::closing(rest).map_or("", |end| &rest[end + 1..]).trim_start();
                    let component = after.strip_prefix('.').map(|a| a.trim_start_matches(is_word).trim_start());
                    if component.is_some_and(|a| a.starts_with('=') && !a.starts_with("==")) {
                        self.depart(8, number, "write whole elements, not components");
                    }
                    let others = ["%=", "&=", "|=", "^=", "<<=", ">>=", "++", "--"];
                    if others.iter().any(|operator| after.starts_with(operator)) {
                        self.depart(8, number, "assign elements by =, +=, -=, *= or /=");
                    }
                }
                (at, before) = (at + piece.len(), first);
            }
            if line.starts_with('}') || (declared.is_some() && line.ends_with('}')) {
                hidden.clear();
            }
        }
    }

    /// Rules 9 to 12: `// unroll`, `// rounds`, `value`, `epilogue`.
    fn marks(&mut self, file: &File) {
        let outputs: Vec<&str> =
            file.resources.iter().filter(|(_, r)| r.space == "storage, read_write").map(|(name, _)| *name).collect();
        let has_value = self.text.iter().any(|line| line.starts_with("fn value("));
        for (number, line) in self.source.lines().enumerate() {
            if line.ends_with("// unroll") && header(line).is_none() {
                self.depart(9, number, "unroll only loops for (var i = 0u; i < BOUND; i++) { // unroll");
            }
            if line.split_once("// rounds").is_some_and(|(_, rest)| !rest.starts_with(": ")) {
                self.depart(10, number, "give the rounds of a loop as // rounds: EXPRESSION");
            }
            let line = code(line);
            if line.starts_with("fn epilogue(") && line != EPILOGUE {
                self.depart(12, number, &format!("write {EPILOGUE}"));
            }
            if line.starts_with("fn value(") && line != VALUE {
                self.depart(11, number, &format!("write {VALUE}, or give the function another name"));
            }
            let calls = pieces(line).filter(|(piece, _)| *piece == "value").count();
            if has_value && calls > 0 && !line.starts_with("fn value(") {
                let stores = |output: &&str| {
                    let rest = line.trim_start().strip_prefix(output).and_then(|rest| rest.strip_prefix('['));
                    let parts = rest.and_then(|rest| rest.split_once("] = value("));
                    parts.is_some_and(|(place, value)| value.strip_suffix(");") == Some(place))
                };
                if calls != 1 || !outputs.iter().any(stores) {
                    self.depart(
                        11,
                        number,
                        "value(i) is element i of the output: use it as OUTPUT[i] = value(i); only",
                    );
                }
            }
        }
        let writes = |output: &&str| {
            let opens =
                |line: &&&str| pieces(line).any(|(piece, _)| piece == *output) && Declaration::of(line).is_none();
            self.text.iter().filter(opens).filter(|line| !line.contains(&format!("arrayLength(&{output})"))).count()
        };
        let is_stored = self.text.iter().any(|line| line.contains("] = value("));
        if has_value && is_stored && outputs.iter().map(writes).sum::<usize>() != 1 {
            self.depart(11, 0, "where value(i) is stored, access the output nowhere else");
        }
        if has_value && (outputs.len() != 1 || file.is_fixed) {
            self.depart(11, 0, "a file with value(i) writes one output and shares nothing inside a workgroup");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "// What: y[i] = x[i]\n@group(0) @binding(0) var<storage, read> x: array<f32>;\n\
        @group(0) @binding(1) var<storage, read_write> y: array<f32>;\nconst N: u32 = 1u;\n\
        fn epilogue(v: f32, i: u32) -> f32 { return v; }\nfn value(i: u32) -> f32 {\n    return x[i];\n}\n\
        @compute @workgroup_size(64)\nfn good(\n    @builtin(workgroup_id) workgroup: vec3<u32>,\n    \
        @builtin(num_workgroups) grid: vec3<u32>,\n    @builtin(local_invocation_index) lane: u32,\n) {\n    \
        let i = workgroup_index(workgroup, grid) * 64u + lane;\n    for (var j = 0u; j < N; j++) { // unroll\n    }\n    \
        if i < arrayLength(&y) {\n        y[i] = value(i);\n    }\n}\n";

    #[test]
    fn each_rule_is_held_with_its_line() {
        assert_eq!(File::of("good", GOOD).departures, [""; 0]);
        for (rule, from, to) in [
            (1, "const N", "  const N"),
            (1, "// What", "/* */ // What"),
            (1, "const N: u32 = 1u;", "const N: u32 = 1u;\noverride M: u32 = 1u;"),
            (1, "    return x[i];", "return x[i];"),
            (2, "= 1u;", "=\n    1u;"),
            (2, "const N", "var<private> state: u32;\nconst N"),
            (3, "@group(0) @binding(0)", "@binding(0) @group(0)"),
            (3, "@binding(1)", "@binding(0)"),
            (4, "fn good(", "fn other("),
            (4, "_size(64)", "_size(8, 8)"),
            (4, "@compute", "@compute @workgroup_size(1)\nfn one() {\n}\n@compute"),
            (5, "local_invocation_index", "global_invocation_id"),
            (6, "+ lane;", "+ lane * workgroup_index(workgroup, grid);"),
            (6, "+ lane;", "+ lane * workgroup.x;"),
            (7, "const N: u32 = 1u;", "const N: u32 = 1u;\nconst factor: u32 = 1u;"),
            (7, "let i", "let x = 1.0;\n    let i"),
            (8, "return x[i];", "return *(&x)[i];"),
            (8, "y[i] = value(i);", "y[i].x = 1.0;"),
            (8, "y[i] = value(i);", "y[i] %= 1.0;"),
            (9, "var j = 0u", "var j = 1u"),
            (10, "// unroll", "// rounds 7"),
            (11, "y[i] = value(i)", "y[i] = value(i) + 1.0"),
            (11, "y[i] = value(i)", "y[i] = value(i + 1u)"),
            (11, "value(i: u32)", "value(i: i32)"),
            (12, "epilogue(v: f32, i: u32) -> f32 { return v; }", "epilogue(v: f32) -> f32 { return v; }"),
        ] {
            let text = GOOD.replacen(from, to, 1);
            assert_ne!(text, GOOD, "{from}");
            let departures = File::of("good", text.leak()).departures;
            let held = format!("rule {rule}, line ");
            assert!(departures.iter().any(|departure| departure.starts_with(&held)), "{from} as {to}: {departures:?}");
        }
    }
}
