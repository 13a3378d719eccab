use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use object::{Object, ObjectSection};

mod conformance;
mod history;
mod remedies;

use super::*;
use crate::need::{self, need};
use crate::object::btf_ext::{BtfExt, BtfRelocation};
use crate::object::{Inventory, ObjectTypes};
use crate::protocol::feature_probe::{Answer, FeatureProbe};
use crate::record::CoreRelocation as Listed;
use crate::record::{Danger, Snippet, SnippetPlace};

/// A section of an object of `tests/fixtures/explain`.
fn section(file: &str, name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/explain");
    let bytes = fs::read(folder.join(file)).unwrap();
    object::File::parse(&*bytes).unwrap().section_by_name(name).unwrap().data().unwrap().to_vec()
}

fn btf(file: &str) -> Btf {
    Btf::parse(&section(file, ".BTF")).unwrap()
}

/// No kernels beyond the matrix.
fn none() -> KnownTypes {
    KnownTypes::default()
}

/// The two kernels of the fixtures, twice each, as a matrix.
fn with_matrix<T>(test: impl FnOnce(&[KernelTypes<'_>]) -> T) -> T {
    let (old, new) = (btf("kernel_a.o"), btf("kernel_b.o"));
    let kernel = |name, btf| KernelTypes { name, btf, booted: true, modules: None };
    test(&[kernel("5.10", &old), kernel("6.1", &old), kernel("6.12", &new), kernel("7.3", &new)])
}

fn object_under_test() -> (Btf, Vec<BtfRelocation>) {
    let local = btf("object.o");
    let relocations = BtfExt::parse(&section("object.o", ".BTF.ext"), &local).unwrap().relocations;
    (local, relocations)
}

/// The story of a feature on kernels that were not asked.
fn asked_for(kind: Feature, name: &str, matrix: &[KernelTypes<'_>], failed: &str) -> Explanation {
    let kernels: Vec<KernelFeatures<'_>> =
        matrix.iter().map(|kernel| KernelFeatures { name: kernel.name, btf: Some(kernel.btf), probe: None }).collect();
    feature(
        WantedFeature { feature: kind, name, program_type: Some("raw_tracepoint"), section: None },
        &kernels,
        failed,
    )
}

/// What every relocation of the object is explained as, in their order.
fn explanations(matrix: &[KernelTypes<'_>]) -> Vec<Explanation> {
    let (local, relocations) = object_under_test();
    let spec = |one: &BtfRelocation| LocalSpec::of(one, &local).unwrap();
    relocations.iter().filter_map(|one| relocation(&spec(one), &local, matrix, &none(), "6.12")).collect()
}

fn story(explanations: &[Explanation], name: &str) -> Explanation {
    explanations.iter().find(|one| one.name == name).unwrap().clone()
}

#[test]
fn every_relocation_is_explained() {
    let all = with_matrix(explanations);
    let mut seen = std::collections::HashSet::new();
    let texts: Vec<String> =
        all.iter().filter(|one| seen.insert(one.name.clone())).map(|one| render(one, 100)).collect();
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn symbols_and_features_are_explained() {
    let texts = with_matrix(|matrix| {
        let at =
            |section: &str, failed| target(&AttachTarget::from_section(section).unwrap(), matrix, failed, &|_| None);
        [
            at("fentry/blk_account_io_start", "7.3"),
            at("fexit.s/inet_csk_accept", "6.12"),
            at("tp_btf/block_rq_issue", "6.12"),
            ksym(&Ksym { name: "bpf_task_acquire", local: None }, matrix, "5.10"),
            asked_for(Feature::Helper, "bpf_loop", matrix, "6.1"),
            asked_for(Feature::MapType, "ringbuf", matrix, "6.1"),
            asked_for(Feature::ProgramType, "BPF_PROG_TYPE_NETFILTER", matrix, "6.1"),
            struct_ops("sched_ext_ops", matrix, "6.1"),
            at("iter/kmem_cache", "6.1"),
            asked_for(Feature::AttachType, "trace_fsession", matrix, "6.1"),
        ]
        .map(|one| render(&one, 100))
    });
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn the_best_replacement_is_the_true_one() {
    let all = with_matrix(explanations);
    let best = |name: &str| story(&all, name).in_its_place[0].replacements[0].path.clone();
    assert_eq!(best("struct task_struct___old.state"), "__state");
    assert_eq!(best("struct request.rq_disk"), "q->disk");
    assert_eq!(best("struct bio.bi_disk"), "bi_bdev");
    assert_eq!(best("struct mm_struct.rss_stat.count[1].counter"), "rss_stat[1].count");
    assert_eq!(best("struct inode.i_ctime.tv_sec"), "i_ctime_sec");
    assert_eq!(best("struct inode.i_ctime.tv_nsec"), "i_ctime_nsec");
}

#[test]
fn a_third_layout_gets_a_branch_of_its_own() {
    let (old, between, new) = (btf("kernel_a.o"), btf("kernel_between.o"), btf("kernel_b.o"));
    let (local, relocations) = object_under_test();
    let matrix = [("6.1", &old), ("6.6", &between), ("6.12", &new)].map(|(name, btf)| KernelTypes {
        name,
        btf,
        booted: true,
        modules: None,
    });
    let specs = relocations.iter().filter_map(|one| LocalSpec::of(one, &local));
    let spec = specs.into_iter().find(|spec| spec.to_string() == "struct inode.i_ctime.tv_nsec").unwrap();
    let explanation = relocation(&spec, &local, &matrix, &none(), "6.6").unwrap();
    insta::assert_snapshot!(render(&explanation, 100));
    let folder = tempfile::tempdir().unwrap();
    need!("clang", "libbpf headers");
    compile(&folder.path().join("three.c"), &explanation.snippets[0]);
}

#[test]
fn sections_name_their_targets() {
    let name = |section| AttachTarget::from_section(section).map(|target| target.name().to_owned());
    assert_eq!(name("?kprobe/vfs_read+0x10").as_deref(), Some("vfs_read"));
    assert_eq!(name("lsm.s/file_open").as_deref(), Some("bpf_lsm_file_open"));
    assert_eq!(name("raw_tp/sched_switch").as_deref(), Some("sched_switch"));
    for none in ["fentry", "fentry/", "xdp", "kprobe.multi/tcp_*", "tp/sched/sched_switch", "uprobe//bin/a:f"] {
        assert_eq!(name(none), None, "{none}");
    }
}

#[test]
fn silent_dangers_are_found_where_the_access_does_not_adapt() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/explain");
    let bytes = fs::read(folder.join("object.o")).unwrap();
    let types = ObjectTypes::read(&bytes).unwrap();
    // As if every address went to a helper that copies.
    let mut copied = types.clone();
    copied.on_memory.fill(false);
    let asked = Inventory::read(&bytes).unwrap().core_relocations;
    with_matrix(|matrix| {
        let named = |index: usize| LocalSpec::of(&types.relocations[index], &types.btf).unwrap().to_string();
        let found = |types: &ObjectTypes, kernel: KernelTypes<'_>| -> Vec<String> {
            let line = |(index, danger): (usize, Danger)| format!("{}: {danger}", named(index));
            dangers(types, &asked, kernel).into_iter().map(line).collect()
        };
        assert!(found(&copied, matrix[0]).is_empty(), "{:?}", found(&copied, matrix[0]));
        let bits = "struct sock.sk_userlocks: no bitfield in the kernel, a bitfield of 4 bits in the object";
        assert_eq!(
            found(&copied, matrix[2]),
            ["struct sock.sk_err: 8 bytes in the kernel, 4 bytes in the object", bits]
        );
        // Another function that asks for the size adapts nothing here.
        let apart = asked.iter().cloned().enumerate().map(|(index, one)| Listed { function: index.to_string(), ..one });
        let apart: Vec<Listed> = apart.collect();
        let apart = dangers(&types, &apart, matrix[2]);
        assert!(apart.iter().any(|(index, _)| named(*index) == "struct sock.sk_pacing"), "{apart:?}");
        // libbpf adapts the instruction that reads `sk_err` itself.
        assert_eq!(found(&types, matrix[2]), [bits]);
    });
}

/// The object of `dangers.c`: its types and its relocations.
fn dangerous() -> (ObjectTypes, Vec<Listed>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/explain");
    let bytes = fs::read(folder.join("dangers.o")).unwrap();
    (ObjectTypes::read(&bytes).unwrap(), Inventory::read(&bytes).unwrap().core_relocations)
}

#[test]
fn constants_are_found_where_no_relocation_adapts_them() {
    let (types, asked) = dangerous();
    with_matrix(|matrix| {
        let found = |kernel| -> Vec<(String, String)> {
            let line = |one: Constant| (one.function, format!("{}: {}", one.name, one.danger));
            constants(&types, &asked, kernel).into_iter().map(line).collect()
        };
        // The old kernel has the values of the object.
        assert_eq!(found(matrix[0]), []);
        let line = "enum iter_type::ITER_IOVEC: value 1 in the kernel, 4 in the object";
        let all = ["naive", "called"].map(|function| (function.to_owned(), line.to_owned()));
        assert_eq!(found(matrix[2]), all);
        let source = &constants(&types, &asked, matrix[2])[0].source;
        assert!(source.file.ends_with("dangers.c") && source.text.contains("== ITER_IOVEC"), "{source:?}");
    });
}

#[test]
fn sizes_are_told_of_where_nothing_asks_for_the_type() {
    let (types, asked) = dangerous();
    let found: Vec<_> =
        unguarded_sizes(&types, &asked).into_iter().map(|index| asked[index].function.as_str()).collect();
    assert_eq!(found, ["sized", "passed_on"]);
}

#[test]
fn nothing_to_explain_is_told_as_that() {
    let text = with_matrix(|_| {
        let (local, relocations) = object_under_test();
        let explanation =
            relocation(&LocalSpec::of(&relocations[0], &local).unwrap(), &local, &[], &none(), "5.4").unwrap();
        render(&explanation, 0)
    });
    assert!(text.starts_with("field `struct task_struct___old.state`"), "{text}");
}

/// Four kernels without BTF that were asked, the last but one without the helper: a history that comes and goes.
#[test]
fn kernels_that_were_asked_are_told_by_probe() {
    let probe = |names: &[(&str, Answer)], config: Answer| {
        let answers = || names.iter().map(|(name, answer)| (name.to_string(), *answer)).collect();
        FeatureProbe {
            existing_helpers: answers(),
            helpers: [("kprobe".to_owned(), answers()), ("xdp".to_owned(), BTreeMap::new())].into(),
            program_types: [("netfilter".to_owned(), config), ("kprobe".to_owned(), Answer::Yes)].into(),
            map_types: [("arena".to_owned(), config)].into(),
            attach_types: [("trace_fsession".to_owned(), Answer::Unknown)].into(),
            whole: true,
        }
    };
    let (yes, no) = (probe(&[("loop", Answer::Yes)], Answer::Yes), probe(&[("loop", Answer::No)], Answer::No));
    let texts = with_matrix(|matrix| {
        let of = |index: usize, probe| KernelFeatures {
            name: matrix[index].name,
            btf: (index > 0).then_some(matrix[index].btf),
            probe,
        };
        let kernels = [of(0, Some(&no)), of(1, Some(&yes)), of(2, Some(&no)), of(3, None)];
        let asked_for = |kind, name, program_type, failed| {
            render(&feature(WantedFeature { feature: kind, name, program_type, section: None }, &kernels, failed), 100)
        };
        [
            asked_for(Feature::Helper, "bpf_loop", Some("kprobe"), "5.10"),
            asked_for(Feature::Helper, "bpf_loop", Some("netfilter"), "6.1"),
            asked_for(Feature::MapType, "arena", Some("kprobe"), "5.10"),
            asked_for(Feature::MapType, "arena", Some("kprobe"), "6.1"),
            asked_for(Feature::ProgramType, "netfilter", Some("netfilter"), "6.12"),
            asked_for(Feature::AttachType, "trace_fsession", Some("tracing"), "5.10"),
        ]
    });
    insta::assert_snapshot!(texts.join("\n"));
}

/// The advice has to compile: every snippet of every story goes through clang.
#[test]
fn snippets_compile() {
    need!("clang", "libbpf headers");
    let folder = tempfile::tempdir().unwrap();
    let mut all = with_matrix(explanations);
    all.extend(with_matrix(|matrix| {
        let at = |section: &str| target(&AttachTarget::from_section(section).unwrap(), matrix, "7.3", &|_| None);
        vec![
            at("fentry/blk_account_io_start"),
            at("fexit/inet_csk_accept"),
            at("tp_btf/block_rq_issue"),
            ksym(&Ksym { name: "bpf_task_acquire", local: None }, matrix, "5.10"),
            asked_for(Feature::Helper, "bpf_loop", matrix, "6.1"),
            asked_for(Feature::MapType, "ringbuf", matrix, "6.1"),
            asked_for(Feature::Helper, "bpf_strncmp", matrix, "6.1"),
            asked_for(Feature::AttachType, "trace_fsession", matrix, "6.1"),
            struct_ops("sched_ext_ops", matrix, "6.1"),
            at("iter/kmem_cache"),
            at("lsm/file_open"),
            // The newest program type that the headers of old distributions know.
            asked_for(Feature::ProgramType, "kprobe", matrix, "6.1"),
        ]
    }));
    let snippets: Vec<&Snippet> = all.iter().flat_map(|one| &one.snippets).collect();
    assert!(snippets.len() > 15, "{}", snippets.len());
    for (index, snippet) in snippets.into_iter().enumerate() {
        compile(&folder.path().join(format!("{index}.c")), snippet);
    }
}

/// Compiles a snippet.
fn compile(path: &Path, snippet: &Snippet) {
    // Statements are indented; everything up to the last line that is not stands outside of functions.
    let lines: Vec<&str> = snippet.code.lines().collect();
    let outside = lines.iter().rposition(|line| !line.is_empty() && !line.starts_with('\t')).map_or(0, |at| at + 1);
    let (top, statements) = (lines[..outside].join("\n"), lines[outside..].join("\n"));
    let function = top.lines().find_map(|line| line.strip_prefix("static __always_inline ")?.split_once('('));
    let call = match function {
        Some((head, _)) => {
            let name = head.rsplit([' ', '*']).next().unwrap();
            format!("\treturn (unsigned long){name}(ctx);")
        }
        None => "\treturn 0;".to_owned(),
    };
    let (code, arguments): (String, &[&str]) = match snippet.place {
        SnippetPlace::Program => (
            format!(
                "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n#include <bpf/bpf_core_read.h>\n#ifndef \
                 bpf_ksym_exists\n#define bpf_ksym_exists(sym) (!!sym)\n#endif\n{top}\nSEC(\"raw_tp/x\") unsigned long \
                 program(void *ctx)\n{{\n{statements}\n{call}\n}}\n"
            ),
            &["-target", "bpf", "-g", "-I/usr/include/x86_64-linux-gnu", "-I/usr/include/aarch64-linux-gnu"],
        ),
        SnippetPlace::Loader => (
            format!(
                "#include <bpf/libbpf.h>\n#include <bpf/btf.h>\n{top}\nint load(struct bpf_map *map, struct bpf_program \
                 *prog);\nint load(struct bpf_map *map, struct bpf_program *prog)\n{{\n{statements}\n\treturn !map || \
                 !prog;\n}}\n"
            ),
            &[],
        ),
    };
    fs::write(path, &code).unwrap();
    let output = Command::new("clang")
        .args(["-O2", "-Wall", "-Werror", "-Wno-unused-but-set-variable", "-c", "-o"])
        .arg(path.with_extension("o"))
        .args(arguments)
        .arg(path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}\n{code}", String::from_utf8_lossy(&output.stderr));
}
