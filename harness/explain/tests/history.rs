//! Histories of fields over more kernels than those of the matrix.

use super::*;
use crate::core_relo::{TypeSource, TypeTable};

fn known(name: &str, place: usize, raw: Vec<u8>) -> KnownKernel {
    KnownKernel { name: name.to_owned(), place, types: TypeSource::of(TypeTable::new(raw).unwrap()) }
}

#[test]
fn kernels_beyond_the_matrix_give_arms_of_their_own() {
    let (old, new) = (btf("kernel_a.o"), btf("kernel_b.o"));
    let matrix = [("5.10", &old), ("6.1", &old), ("6.12", &new)];
    let matrix = matrix.map(|(name, btf)| KernelTypes { name, btf, booted: true, modules: None });
    let raw = |file| section(file, ".BTF");
    let known = KnownTypes::new(
        vec![
            known("5.4.0-9-generic", 0, raw("kernel_a.o")),
            known("6.6.1-ci", 2, raw("kernel_between.o")),
            known("6.8.0-ci", 2, raw("kernel_between.o")),
        ],
        0,
    );
    let (local, relocations) = object_under_test();
    let mut specs = relocations.iter().filter_map(|one| LocalSpec::of(one, &local));
    let spec = specs.find(|spec| spec.to_string() == "struct inode.i_ctime.tv_sec").unwrap();
    let explanation = relocation(&spec, &local, &matrix, &known, "6.12").unwrap();
    insta::assert_snapshot!(render(&explanation, 100));
    let history = explanation.history.unwrap();
    let arms: Vec<_> = history.arms.iter().map(|arm| (arm.path.as_deref().unwrap(), arm.own, &arm.booted)).collect();
    let [own, between, newest] = &arms[..] else { panic!("{arms:?}") };
    assert_eq!((own.0, own.1, own.2.len()), ("i_ctime.tv_sec", true, 2));
    assert_eq!((between.0, between.1, between.2.len()), ("__i_ctime.tv_sec", false, 0));
    assert_eq!((newest.0, newest.2.as_slice()), ("i_ctime_sec", &["6.12".to_owned()][..]));
    assert_eq!(history.arms[1].by_types[0].count, 2);
    assert!(history.arms.iter().all(|arm| arm.unproven.is_empty()));
    // The presence of the matrix is what it was.
    assert_eq!(explanation.presence.len(), 3);
}

/// Raw BTF of `struct s` with these members of type `int`.
fn struct_of(members: &[&str]) -> Vec<u8> {
    let mut strings = "\0int\0s\0".to_owned();
    let mut types = vec![1, 1 << 24, 4, 1 << 24 | 32, 5, 4 << 24 | members.len() as u32, 4 * members.len() as u32];
    for (number, name) in members.iter().enumerate() {
        types.extend([strings.len() as u32, 1, 32 * number as u32]);
        strings.push_str(name);
        strings.push('\0');
    }
    let bytes = 4 * types.len() as u32;
    let header = [0x0001_eb9f, 24, 0, bytes, bytes, strings.len() as u32];
    header.iter().chain(&types).flat_map(|word| word.to_le_bytes()).chain(strings.bytes()).collect()
}

#[test]
fn what_the_object_asks_for_comes_first_where_a_kernel_has_both() {
    let raw = [&["a", "state", "b"][..], &["a", "state", "b", "__state"], &["a", "__state", "b"]].map(struct_of);
    let kernels = raw.each_ref().map(|raw| Btf::parse(raw).unwrap());
    let names = ["1.0", "2.0", "3.0"];
    let matrix: Vec<KernelTypes<'_>> =
        names.iter().zip(&kernels).map(|(name, btf)| KernelTypes { name, btf, booted: true, modules: None }).collect();
    let spec = LocalSpec::parse("<byte_off> [2] struct s.state (0:1 @ offset 4)").unwrap();
    let explanation = relocation(&spec, &kernels[0], &matrix, &KnownTypes::default(), "3.0").unwrap();
    let code = &explanation.snippets[0].code;
    let (own, other) = (code.find("if (bpf_core_field_exists(k1_0->state))"), code.find("->__state))"));
    assert!(own.is_some() && own < other, "{code}");
    let arms = explanation.history.unwrap().arms;
    assert_eq!(arms[0].booted, ["1.0", "2.0"]);
    assert!(arms.iter().all(|arm| arm.unproven.is_empty()), "{arms:?}");
}

#[test]
fn numbers_of_several_sizes_are_read_by_what_adapts() {
    let (old, new) = (btf("kernel_a.o"), btf("kernel_b.o"));
    let matrix =
        [("6.1", &old), ("6.12", &new)].map(|(name, btf)| KernelTypes { name, btf, booted: true, modules: None });
    // Missing on one, so that there is a guard.
    let gone = KnownTypes::new(vec![known("7.0", 2, struct_of(&["a"]))], 0);
    let spec = LocalSpec::parse("<byte_off> [2] struct sock.sk_err (0:2 @ offset 4)").unwrap();
    let explanation = relocation(&spec, &old, &matrix, &gone, "7.0").unwrap();
    let code = &explanation.snippets[0].code;
    assert_eq!(code.matches("if (bpf_core_field_exists(").count(), 1, "{code}");
    assert!(code.contains("return BPF_CORE_READ_BITFIELD_PROBED(k6_1, sk_err);"), "{code}");
    let history = explanation.history.unwrap();
    assert_eq!(history.arms.last().unwrap().path, None);
    assert_eq!(history.arms.last().unwrap().by_types[0].first, "7.0");
}
