//! [`RefusedMap`]: why a kernel did not create a map, from its definition and from what the kernel has.

use crate::bytes::in_words;
use crate::judge::Case;
use crate::object::{MapFlag, MapInfo, Mend};
use crate::record::Cause;
use crate::record::Verdict;

/// The most entries of a hash: the table of buckets of more would have 4 GiB.
const MOST_BUCKETS: u32 = 1 << 27;
/// The kernel keeps values of each CPU in units of this size (`PCPU_MIN_UNIT_SIZE`).
const PER_CPU_UNIT: u32 = 32 << 10;
/// The longest key of a hash in older kernels: that of a program's stack.
const STACK: u32 = 512;
/// What one allocation can give (`KMALLOC_MAX_SIZE`).
const ALLOCATION: u64 = 4 << 20;
/// Kernels before 5.11 charge a map to the user, and refuse this much of it and more.
const FOUR_GIB: u64 = (4 << 30) - 4096;
/// A type of kernels that do.
const CHARGE: &str = "bpf_map_memory";
/// Map types that kernels have only if they are built with an option.
const OPTIONS: [(&str, &str); 10] = [
    ("xskmap", "CONFIG_XDP_SOCKETS"),
    ("inode_storage", "CONFIG_BPF_LSM"),
    ("stack_trace", "CONFIG_PERF_EVENTS"),
    ("perf_event_array", "CONFIG_PERF_EVENTS"),
    ("cgroup_storage", "CONFIG_CGROUP_BPF"),
    ("percpu_cgroup_storage", "CONFIG_CGROUP_BPF"),
    ("cgroup_array", "CONFIG_CGROUPS"),
    ("cgrp_storage", "CONFIG_CGROUPS"),
    ("reuseport_sockarray", "CONFIG_INET"),
    ("struct_ops", "CONFIG_BPF_JIT"),
];

/// A map that was not created.
pub(super) struct RefusedMap<'a> {
    pub case: &'a Case<'a>,
    /// Its name.
    pub map: &'a str,
    /// libbpf's line about it.
    pub warning: &'a str,
    /// Other lines of libbpf.
    pub context: &'a [String],
    /// Whether no one tried, since no guest can hold it.
    pub untried: bool,
}

/// Verdict and cause, and the reason where libbpf's line does not give it.
type Judged = (Verdict, Cause, Option<String>);

impl RefusedMap<'_> {
    /// Facts decide; without them, the errno does.
    pub fn judged(&self) -> Judged {
        if let Some(reason) = self.of_the_guest() {
            return (Verdict::HarnessError, Cause::Harness, Some(reason));
        }
        let refused = |cause, reason: String| (Verdict::MapCreationFailed, cause, Some(reason));
        let errno = match self.untried {
            true => "",
            false => self.warning.rsplit_once(": ").map_or("", |(_, errno)| errno),
        };
        if let Some(why) = self.unsupported_link() {
            return refused(Cause::UnsupportedMapOption, why);
        }
        if let Some(line) = self.context.iter().find(|line| line.contains("failed to initialize slot")) {
            let why = "differs from the inner map that `values` defines";
            return refused(Cause::InvalidMapDefinition, format!("a map in map `{}` {why}: {line}", self.map));
        }
        let definition = self.definition();
        let missing = || (Verdict::MapCreationFailed, Cause::MissingMapType, None);
        if definition.is_some_and(|map| self.has_type(map) == Some(false)) {
            return missing();
        }
        match errno {
            "-EPERM" => return (Verdict::HarnessError, Cause::Harness, None),
            "-E2BIG" => return refused(Cause::MapTooLarge, self.too_large(definition)),
            "-ENOMEM" => {
                return match definition.and_then(limit) {
                    // Kernels before 6.1 try to get it, in vain.
                    Some(limit) => refused(Cause::MapTooLarge, self.says(definition, &limit)),
                    None => (Verdict::HarnessLimit, Cause::GuestMemory, Some(self.out_of_memory(definition))),
                };
            }
            "-EINVAL" | "-ENOTSUPP" | "-EOPNOTSUPP" | "-EBADF" => {}
            "" if self.untried => {}
            _ => return (Verdict::MapCreationFailed, Cause::Unrecognised, None),
        }
        // Without a definition there is nothing but the errno.
        let Some(map) = definition else { return missing() };
        if let Some(flaw) = map.flaws().first() {
            let (verdict, cause, then) = match flaw.mend {
                Mend::Author => (Verdict::MapCreationFailed, Cause::InvalidMapDefinition, ""),
                Mend::Loader if self.case.by_loader => {
                    (Verdict::MapCreationFailed, Cause::InvalidMapDefinition, ", and its loader does not change that")
                }
                Mend::Loader => {
                    let then =
                        if flaw.is_unset() { "; its own loader sets it" } else { "; its own loader corrects it" };
                    (Verdict::HarnessLimit, Cause::IncompleteMapDefinition, then)
                }
                Mend::Machine => (Verdict::HarnessLimit, Cause::IncompleteMapDefinition, ""),
            };
            return (verdict, cause, Some(self.says(definition, &format!("{}{then}", flaw.what))));
        }
        if let Some(why) = self.unsupported(map) {
            return refused(Cause::UnsupportedMapOption, self.says(definition, &why));
        }
        if let Some(line) = self.context.iter().find(|line| map.is_typed && is_btf_refused(line)) {
            let why = format!(
                "its type needs BTF of key and value, but the kernel rejected the BTF of the object: \
    {line}"
            );
            return refused(Cause::MapWithoutBtf, self.says(definition, &why));
        }
        if let Some(option) = self.missing_option(map) {
            let kind = map.map_type.as_deref().unwrap_or_default();
            let why = format!("`{kind}` needs {option}, but the kernel is built without it");
            return refused(Cause::KernelConfigMissing, self.says(definition, &why));
        }
        if self.untried {
            let takes_less = map.bytes(1) >= FOUR_GIB && self.case.kernel.has_type(CHARGE) == Some(true);
            return match takes_less || limit(map).is_some() {
                true => refused(Cause::MapTooLarge, self.too_large(definition)),
                false => (Verdict::HarnessLimit, Cause::GuestMemory, None),
            };
        }
        match self.has_type(map) {
            None => missing(),
            Some(_) => (Verdict::MapCreationFailed, Cause::Unrecognised, None),
        }
    }

    /// What another object left behind is in the way.
    fn of_the_guest(&self) -> Option<String> {
        let is_pin = |line: &&String| {
            line.contains("couldn't reuse pinned map") || line.contains("couldn't retrieve pinned map")
        };
        self.context.iter().find(is_pin).cloned()
    }

    /// How the object defines the map, or the inner map of it that was refused.
    fn definition(&self) -> Option<&MapInfo> {
        let map = self.case.object?.maps.iter().find(|map| map.name == self.map)?;
        match self.is_inner() {
            true => map.inner.as_deref(),
            false => Some(map),
        }
    }

    fn is_inner(&self) -> bool {
        self.warning.contains("failed to create inner map")
    }

    /// Whether the kernel has the map's type.
    fn has_type(&self, map: &MapInfo) -> Option<bool> {
        let name = format!("BPF_MAP_TYPE_{}", map.map_type.as_deref()?.to_uppercase());
        self.case.kernel.has_enumerator("bpf_map_type", &name)
    }

    /// A struct_ops map that attaches by a link, which the kernel does not know.
    fn unsupported_link(&self) -> Option<String> {
        let linked = self.case.object?.struct_ops.iter().any(|known| known.name == self.map && known.linked);
        (linked && self.knows_flag("BPF_F_LINK") == Some(false)).then(|| {
            let section = "section `.struct_ops.link` sets BPF_F_LINK, which needs Linux 6.4 or later";
            format!("map `{}`: {section}", self.map)
        })
    }

    /// An option that the type takes, and that this kernel does not know.
    fn unsupported(&self, map: &MapInfo) -> Option<String> {
        let unknown = |flag: &MapFlag| self.knows_flag(flag.name) == Some(false);
        if let Some(flag) = map.sound_flags().find(unknown) {
            return Some(format!("`map_flags` has {}, which needs Linux {} or later", flag.name, flag.since));
        }
        if map.nameless_flags() != 0 {
            return Some(format!("`map_flags` has {:#x}, which corematrix does not know either", map.nameless_flags()));
        }
        let (of_type, since) = match map.map_type.as_deref()? {
            "devmap" | "devmap_hash" => ("bpf_devmap_val", "5.8"),
            "cpumap" => ("bpf_cpumap_val", "5.9"),
            _ => return None,
        };
        (map.value_size == Some(8) && self.case.kernel.has_type(of_type) == Some(false))
            .then(|| format!("`value_size` is 8, which needs Linux {since} or later"))
    }

    /// Whether the kernel knows a flag; its UAPI has all of them in one enum without a name.
    fn knows_flag(&self, name: &str) -> Option<bool> {
        let kernel = self.case.kernel;
        kernel.has_enumerator("", "BPF_F_NO_PREALLOC").filter(|has_any| *has_any)?;
        kernel.has_enumerator("", name)
    }

    /// The option without which the kernel has the type in its types, and not in its code.
    fn missing_option(&self, map: &MapInfo) -> Option<&'static str> {
        let kind = map.map_type.as_deref()?;
        let (_, option) = OPTIONS.into_iter().find(|(known, _)| *known == kind)?;
        (self.case.kernel.config(option) == Some(false)).then_some(option)
    }

    /// `map `x`: ...`, about the inner map if it is that.
    fn says(&self, definition: Option<&MapInfo>, what: &str) -> String {
        match definition {
            Some(_) if self.is_inner() => format!("inner map of `{}`: {what}", self.map),
            _ => format!("map `{}`: {what}", self.map),
        }
    }

    fn too_large(&self, definition: Option<&MapInfo>) -> String {
        let Some(map) = definition else { return self.warning.to_owned() };
        let bytes = map.bytes(1);
        let why = match limit(map) {
            Some(limit) => limit,
            None if bytes >= FOUR_GIB => {
                format!("it needs {}, but kernels before 5.11 limit a map to less than 4 GiB", in_words(bytes))
            }
            None if map.map_type.as_deref() == Some("cpumap") => {
                let entries = map.max_entries.unwrap_or_default();
                format!("`max_entries` is {entries}, more than the maximum number of CPUs of the kernel")
            }
            None if map.key_size > Some(STACK) => {
                let size = map.key_size.unwrap_or_default();
                format!("`key_size` is {size}, but this kernel accepts keys of at most {STACK} bytes")
            }
            None => format!("it needs {}, more than the kernel's limit for this map type", in_words(bytes)),
        };
        self.says(definition, &why)
    }

    fn out_of_memory(&self, definition: Option<&MapInfo>) -> String {
        let guest = self.case.memory_mib.map(|mib| in_words(mib << 20));
        let guest = guest.map_or_else(|| "the guest has less".to_owned(), |has| format!("the guest has {has}"));
        let needs = match definition.map(|map| map.bytes(1)) {
            Some(bytes @ 1..) => format!("it needs {}", in_words(bytes)),
            _ => "it needs more memory than available".to_owned(),
        };
        let all: u64 = self.case.object.map_or(0, |object| object.maps.iter().map(|map| map.bytes(1)).sum());
        let others = format!("all maps of the object need {}", in_words(all));
        self.says(definition, &format!("{needs}, {others}, and {guest}"))
    }
}

/// What of a map is more than any kernel takes, however much memory there is.
fn limit(map: &MapInfo) -> Option<String> {
    let kind = map.map_type.as_deref()?;
    let (key, value) = (map.key_size.unwrap_or_default(), map.value_size.unwrap_or_default());
    let per_cpu = matches!(kind, "percpu_array" | "percpu_hash" | "lru_percpu_hash");
    if per_cpu && value > PER_CPU_UNIT {
        return Some(format!("`value_size` is {value}, but a per-CPU value has at most {PER_CPU_UNIT} bytes"));
    }
    let hash = kind == "hash" || kind == "lru_hash" || kind == "percpu_hash" || kind == "lru_percpu_hash";
    if hash && u64::from(key) + u64::from(value) >= ALLOCATION {
        return Some(format!(
            "key and value have {} bytes, but an entry must be smaller than 4 MiB",
            u64::from(key) + u64::from(value)
        ));
    }
    let entries = map.max_entries.unwrap_or_default();
    (hash && entries > MOST_BUCKETS)
        .then(|| format!("`max_entries` is {entries}, but a hash map has at most {MOST_BUCKETS}"))
}

/// Whether a line of libbpf says that the kernel did not take the object's BTF.
fn is_btf_refused(line: &str) -> bool {
    line.starts_with("Error loading .BTF into kernel") || line.contains("Retrying without BTF")
}
