//! [`differences`]: what the configs of two kernels have different, as far as BPF programs notice.

use std::collections::BTreeMap;

use serde::Serialize;

/// Parts of the names of options that decide what a BPF program can do or see.
const BEARING: [&str; 9] =
    ["BPF", "BTF", "KPROBE", "UPROBE", "FTRACE", "TRACEPOINT", "LSM", "FUNCTION_TRACER", "FPROBE"];

/// An option of a kernel that two kernels set differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ConfigDifference {
    /// Such as `CONFIG_BPF_LSM`.
    pub name: String,
    /// Its value on the good kernel; `None` if it is not set.
    pub good: Option<String>,
    /// Its value on the bad kernel.
    pub bad: Option<String>,
}

/// The options that differ and bear on BPF, or that the object reads (`asked`), by name; and how many others differ.
pub fn differences(good: &str, bad: &str, asked: &[String]) -> (Vec<ConfigDifference>, usize) {
    let (good, bad) = (parse(good), parse(bad));
    let mut names: Vec<&str> = good.keys().chain(bad.keys()).copied().collect();
    names.sort_unstable();
    names.dedup();
    let differ: Vec<&str> = names.into_iter().filter(|name| good.get(name) != bad.get(name)).collect();
    let bears = |name: &&&str| BEARING.iter().any(|part| name.contains(part)) || asked.iter().any(|one| one == *name);
    let value = |of: &BTreeMap<&str, &str>, name: &str| of.get(name).map(|value| (*value).to_owned());
    let settings: Vec<ConfigDifference> = differ
        .iter()
        .filter(bears)
        .map(|name| ConfigDifference { name: (*name).to_owned(), good: value(&good, name), bad: value(&bad, name) })
        .collect();
    let others = differ.len() - settings.len();
    (settings, others)
}

/// `CONFIG_X=y`; what is not set stands in a comment.
fn parse(config: &str) -> BTreeMap<&str, &str> {
    let lines = config.lines().filter(|line| line.starts_with("CONFIG_"));
    lines.filter_map(|line| line.split_once('=')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_bears_on_bpf_or_is_asked_for_is_told() {
        let good = "# CONFIG_BPF_LSM is not set\nCONFIG_HZ=250\nCONFIG_NET=y\nCONFIG_KPROBES=y\nCONFIG_BPF=y\n";
        let bad = "CONFIG_BPF_LSM=y\nCONFIG_HZ=100\nCONFIG_NET=m\nCONFIG_BPF=y\n";
        let (settings, others) = differences(good, bad, &["CONFIG_HZ".to_owned()]);
        let settings: Vec<String> =
            settings.iter().map(|one| format!("{} {:?} {:?}", one.name, one.good, one.bad)).collect();
        assert_eq!(
            settings,
            [
                "CONFIG_BPF_LSM None Some(\"y\")",
                "CONFIG_HZ Some(\"250\") Some(\"100\")",
                "CONFIG_KPROBES Some(\"y\") None"
            ]
        );
        assert_eq!(others, 1);
    }
}
