//! Values that the loader writes into a shader's `const` lines.

/// The value of a shader's `const`.
#[derive(Clone, PartialEq, Debug)]
pub enum Constant {
    /// `const NAME: u32 = ..u;`
    U32(u32),
    /// `const NAME: i32 = ..i;`
    I32(i32),
    /// `const NAME: f32 = ..;`
    F32(f32),
    /// `const NAME = array<u32, ..>(..);`
    List(Vec<u32>),
    /// `alias NAME = ..;`
    Type(&'static str),
}

impl Constant {
    /// The line of WGSL.
    pub(super) fn declaration(&self, name: &str) -> String {
        match self {
            Constant::U32(v) => format!("const {name}: u32 = {v}u;"),
            Constant::I32(v) => format!("const {name}: i32 = {v}i;"),
            Constant::F32(v) => format!("const {name}: f32 = {};", f32_literal(*v)),
            Constant::List(v) => {
                let items: Vec<_> = v.iter().map(|i| format!("{i}u")).collect();
                format!("const {name} = array<u32, {}>({});", v.len(), items.join(", "))
            }
            Constant::Type(name_of_type) => format!("alias {name} = {name_of_type};"),
        }
    }
}

impl From<usize> for Constant {
    fn from(v: usize) -> Self {
        Constant::U32(u32::try_from(v).expect("extents over 32 bits are refused by Graph::push"))
    }
}

impl From<u32> for Constant {
    fn from(v: u32) -> Self {
        Constant::U32(v)
    }
}

impl From<f32> for Constant {
    fn from(v: f32) -> Self {
        Constant::F32(v)
    }
}

impl From<bool> for Constant {
    fn from(v: bool) -> Self {
        Constant::U32(v as u32)
    }
}

impl From<&[usize]> for Constant {
    fn from(v: &[usize]) -> Self {
        Constant::List(v.iter().map(|&i| i as u32).collect())
    }
}

/// A float as WGSL reads it back exactly. WGSL has no literal for NaN and infinities; the nearest finite value stands
/// in for an infinity, and NaN must be refused before.
pub(crate) fn f32_literal(v: f32) -> String {
    let v = if v.is_nan() { 0.0 } else { v.clamp(f32::MIN, f32::MAX) };
    // All digits: the shortest ones of the largest float name a number above it, which Tint refuses.
    format!("{:?}f", f64::from(v))
}

#[cfg(test)]
mod tests {
    use super::f32_literal;

    #[test]
    fn floats_are_written_in_full() {
        let written = [0.1, -1e-45, f32::INFINITY].map(f32_literal);
        assert_eq!(written, ["0.10000000149011612f", "-1.401298464324817e-45f", "3.4028234663852886e38f"]);
    }
}
