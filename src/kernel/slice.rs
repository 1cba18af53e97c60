//! A shader that runs some of its workgroups and leaves the others for another time.
//!
//! A workgroup learns its number in one place, at the head of the entry point. There a sliced text adds the number of
//! the first workgroup of its dispatch, which it reads from a uniform: so one pipeline runs any range of the grid. The
//! workgroups of a dispatch know nothing of each other, so in slices they compute what they compute together, bit for bit.

/// How an entry point asks for its workgroup's number.
const NUMBER: &str = "workgroup_index(workgroup, grid)";

/// The `@group` of the uniform that holds the first workgroup's number, at `@binding(0)`.
pub const SLICE_GROUP: u32 = 1;

/// The text with workgroups numbered from the uniform's value on; `None` if it does not number them, as it has but one.
pub fn slice(text: &str) -> Option<String> {
    let (head, entry) = text.split_at(text.find("@compute")?);
    let (before, after) = entry.split_once(NUMBER)?;
    let uniform = format!("@group({SLICE_GROUP}) @binding(0) var<uniform> first_workgroup: u32;\n");
    Some(format!("{head}{before}(first_workgroup + {NUMBER}){after}{uniform}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_point_alone_counts_from_the_first_workgroup() {
        let text = "enable f16;\n@group(0) @binding(0) var<storage, read> x: array<f32>;\n\
                    fn part(workgroup: vec3<u32>, grid: vec3<u32>) { let i = workgroup_index(workgroup, grid); }\n\
                    @compute @workgroup_size(64)\nfn f() {\n    let i = workgroup_index(workgroup, grid) * 64u;\n}\n";
        let sliced = slice(text).unwrap();
        assert!(sliced.ends_with("@group(1) @binding(0) var<uniform> first_workgroup: u32;\n"), "{sliced}");
        assert!(sliced.contains("{ let i = workgroup_index(workgroup, grid); }"), "{sliced}");
        assert!(sliced.contains("let i = (first_workgroup + workgroup_index(workgroup, grid)) * 64u;"), "{sliced}");
        assert_eq!(slice("@compute @workgroup_size(1)\nfn one() {}\n"), None);
    }
}
