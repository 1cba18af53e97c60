//! NaN passes through. WGSL promises nothing of `min`, `max` and `clamp` beside NaN, and some drivers make them of
//! `select(v, c, v < c)` too; then NaN becomes the other operand. `at_least` and `at_most` of `shaders/common/math.wgsl`
//! keep it. No device that the tests run on need show the fault, so this reads the text.

use std::collections::BTreeSet;

use naga::valid::{Capabilities, FunctionInfo, ModuleInfo, ValidationFlags, Validator};
use naga::{BinaryOperator, Expression, Function, Handle, MathFunction, Module, ScalarKind};

/// Functions that may compare floats so, and why NaN is not lost.
const ALLOWED: &[(&str, &str)] = &[
    ("at_least", "the select around it looks at the bits"),
    ("at_most", "the select around it looks at the bits"),
    ("softmax", "NaN that the maximum misses is in the sum that each share is divided by"),
    ("log_softmax", "NaN that the maximum misses is in the sum whose logarithm is taken off each"),
    ("softmax_cross_entropy", "NaN that the maximum misses is in the sum"),
    ("largest_of", "NaN that the maximum misses is in the sum, or in the logits read again"),
];

/// The functions of a module that could lose NaN.
pub fn losers(module: &Module, info: &ModuleInfo) -> BTreeSet<String> {
    let functions = module.functions.iter().map(|(handle, function)| (&function.name, function, &info[handle]));
    let entry_points = module.entry_points.iter().enumerate();
    let entry_points = entry_points.map(|(i, e)| (&e.function.name, &e.function, info.get_entry_point(i)));
    let losing = functions.chain(entry_points).filter(|(_, function, info)| loses(&Text { module, function, info }));
    losing.map(|(name, ..)| name.clone().unwrap_or_default()).collect()
}

/// Refuses functions without a reason, and reasons without a function.
pub fn hold<'a>(losers: impl Iterator<Item = &'a String>) {
    let found: BTreeSet<&str> = losers.map(String::as_str).collect();
    let allowed: BTreeSet<&str> = ALLOWED.iter().map(|(name, _)| *name).collect();
    let new: Vec<_> = found.difference(&allowed).collect();
    assert!(new.is_empty(), "these may lose NaN; take at_least and at_most, or say in ALLOWED why not: {new:?}");
    let gone: Vec<_> = allowed.difference(&found).collect();
    assert!(gone.is_empty(), "ALLOWED names what loses no NaN: {gone:?}");
}

fn loses(text: &Text<'_>) -> bool {
    let expressions = &text.function.expressions;
    expressions.iter().any(|(handle, expression)| match *expression {
        Expression::Math { fun: MathFunction::Min | MathFunction::Max | MathFunction::Clamp, .. } => {
            text.is_float(handle)
        }
        Expression::Select { condition, accept, reject } => match expressions[condition] {
            Expression::Binary { op, left, right } => {
                use BinaryOperator::{Greater, GreaterEqual, Less, LessEqual};
                let same = |a, b| text.same(left, a) && text.same(right, b);
                let compares = matches!(op, Less | LessEqual | Greater | GreaterEqual);
                compares && text.is_float(handle) && (same(accept, reject) || same(reject, accept))
            }
            _ => false,
        },
        _ => false,
    })
}

struct Text<'a> {
    module: &'a Module,
    function: &'a Function,
    info: &'a FunctionInfo,
}

impl Text<'_> {
    /// Whether two expressions have one value if nothing is stored between them.
    fn same(&self, a: Handle<Expression>, b: Handle<Expression>) -> bool {
        match (&self.function.expressions[a], &self.function.expressions[b]) {
            _ if a == b => true,
            (Expression::Load { pointer: a }, Expression::Load { pointer: b }) => self.same(*a, *b),
            (Expression::Access { base: a, index: i }, Expression::Access { base: b, index: j }) => {
                self.same(*a, *b) && self.same(*i, *j)
            }
            (a, b) => matches!(a, Expression::Literal(_) | Expression::Constant(_)) && a == b,
        }
    }

    fn is_float(&self, handle: Handle<Expression>) -> bool {
        self.info[handle].ty.inner_with(&self.module.types).scalar_kind() == Some(ScalarKind::Float)
    }
}

#[test]
fn what_may_lose_nan_is_seen() {
    let found = |expression: &str| {
        let text = format!("const C: f32 = 2.0; fn f(v: f32, n: u32) -> f32 {{ var m = v; return {expression}; }}");
        let module = naga::front::wgsl::parse_str(&text).unwrap();
        let info = Validator::new(ValidationFlags::all(), Capabilities::empty()).validate(&module).unwrap();
        !losers(&module, &info).is_empty()
    };
    for loses in
        ["max(v, 0.0)", "clamp(v, -C, C)", "select(v, 0.0, v <= 0.0)", "select(C, v, v < C)", "select(m, v, v > m)"]
    {
        assert!(found(loses), "{loses}");
    }
    for keeps in
        ["f32(max(n, 1u))", "select(v, 1.0, v <= 0.0)", "select(v * C, v, v > 0.0)", "select(0.0, v, v == 0.0)"]
    {
        assert!(!found(keeps), "{keeps}");
    }
}
