//! What is explained where BTF alone does not help: guards that are true where the program failed, other prototypes, flags, members.

use super::*;

/// The kernels of the `remedy` fixtures.
fn with_remedies<T>(test: impl FnOnce(&[KernelTypes<'_>]) -> T) -> T {
    let (old, new) = (btf("remedy_a.o"), btf("remedy_b.o"));
    let kernel = |name, btf| KernelTypes { name, btf, booted: true, modules: None };
    test(&[kernel("6.1", &old), kernel("6.12", &old), kernel("7.1", &new)])
}

fn helper(name: &str, program_type: &str, section: &str, matrix: &[KernelTypes<'_>], failed: &str) -> Explanation {
    let kernels: Vec<KernelFeatures<'_>> =
        matrix.iter().map(|kernel| KernelFeatures { name: kernel.name, btf: Some(kernel.btf), probe: None }).collect();
    let wanted =
        WantedFeature { feature: Feature::Helper, name, program_type: Some(program_type), section: Some(section) };
    feature(wanted, &kernels, failed)
}

#[test]
fn guards_that_are_true_where_it_failed_are_not_told() {
    with_remedies(|matrix| {
        let explanation = helper("bpf_d_path", "kprobe", "kprobe/filp_close", matrix, "6.1");
        let text = render(&explanation, 100);
        assert!(!text.contains("if (bpf_core_enum_value_exists"), "{text}");
        assert!(text.contains("`filp_close`") && text.contains("is true there"), "{text}");
        let explanation = helper("bpf_copy_from_user", "tracing", "fentry/vfs_read", matrix, "6.1");
        assert!(render(&explanation, 100).contains("SEC(\"fentry.s/vfs_read\")"), "{}", render(&explanation, 100));
        assert!(explanation.snippets.is_empty());
        // One that the kernel does not list is guarded against by asking.
        let explanation = helper("bpf_loop", "kprobe", "kprobe/x", matrix, "6.1");
        assert!(explanation.snippets.iter().any(|snippet| snippet.code.contains("libbpf_probe_bpf_helper")));
        let explanation = asked_for(Feature::AttachType, "xdp", matrix, "6.1");
        assert!(explanation.snippets.is_empty(), "{:?}", explanation.snippets);
        let explanation = asked_for(Feature::ProgramType, "tracing", matrix, "6.1");
        assert_eq!(explanation.snippets.len(), 1);
    });
}

#[test]
fn kfunc_of_another_prototype_is_told_with_the_new_one() {
    let local = ObjectTypes::read(&fs::read("tests/fixtures/explain/remedy_object.o").unwrap()).unwrap().btf;
    let asked = Ksym { name: "bpf_wq_set_callback_impl", local: Some(&local) };
    let explanation = with_remedies(|matrix| ksym(&asked, matrix, "7.1"));
    let text = render(&explanation, 100);
    insta::assert_snapshot!(text);
    // The object's own types may not be known.
    let bare = with_remedies(|matrix| ksym(&Ksym { local: None, ..asked }, matrix, "7.1"));
    assert!(bare.presence.iter().all(|on| on.presence.is_present()));
    let folder = tempfile::tempdir().unwrap();
    need!("clang", "libbpf headers");
    compile(&folder.path().join("kfunc.c"), &explanation.snippets[0]);
}

#[test]
fn members_in_the_same_bytes_are_told_where_nothing_is_alike() {
    let types = ObjectTypes::read(&fs::read("tests/fixtures/explain/remedy_object.o").unwrap()).unwrap();
    let spec = LocalSpec::of(&types.relocations[0], &types.btf).unwrap();
    assert_eq!(spec.to_string(), "struct cred.cap_effective.cap[0]");
    let replacement = |matrix: &[KernelTypes<'_>]| {
        let explanation = relocation(&spec, &types.btf, matrix, &KnownTypes::default(), "7.1").unwrap();
        let replacement = &explanation.in_its_place.last().unwrap().replacements[0];
        (replacement.path.clone(), replacement.why.concat())
    };
    with_remedies(|matrix| {
        assert_eq!(
            replacement(matrix),
            ("cap_effective.val".to_owned(), "new here, 8 bytes, at the offset of `cap` on 6.12".to_owned())
        );
        // Of a kernel alone there is nothing to compare with.
        assert_eq!(
            replacement(&matrix[2..]),
            ("cap_effective.val".to_owned(), "the only member of its struct".to_owned())
        );
    });
}

#[test]
fn struct_ops_members_and_load_flags_say_what_a_loader_does() {
    let explanation =
        with_remedies(|matrix| struct_ops_member("tcp_congestion_ops", "cwnd_event_tx_start", matrix, "6.12"));
    assert!(explanation.presence[2].presence.is_present() && !explanation.presence[1].presence.is_present());
    let flag = load_flag("BPF_F_XDP_HAS_FRAGS", Some("5.18"), "xdp.frags/devmap", "5.10");
    let text = format!("{}\n{}", render(&explanation, 100), render(&flag, 100));
    insta::assert_snapshot!(text);
    let folder = tempfile::tempdir().unwrap();
    need!("clang", "libbpf headers");
    compile(&folder.path().join("member.c"), &explanation.snippets[0]);
    compile(&folder.path().join("flag.c"), &flag.snippets[0]);
}

#[test]
fn placeholders_are_not_called_renamed() {
    let place = || Some("on 6.1, `generic_lsm_core` is in kernel module m".to_owned());
    let at = |section: &str, place: &dyn Fn(&str) -> Option<String>| {
        let asked = AttachTarget::from_section(section).unwrap();
        assert!(target(&asked, &[], "7.1", place).notes.is_empty());
        let one = |matrix: &[KernelTypes<'_>]| render(&target(&asked, &matrix[..1], matrix[0].name, place), 100);
        with_matrix(|matrix| (render(&target(&asked, matrix, "7.3", place), 100), one(matrix)))
    };
    for section in ["lsm/generic_lsm_core", "fexit/func", "tp_btf/placeholder", "iter/placeholder"] {
        let (text, alone) = at(section, &|_| None);
        for text in [text, alone] {
            assert!(text.contains("placeholder") && text.contains("set_attach_target"), "{text}");
            assert!(!text.contains("inlined"), "{text}");
        }
    }
    let (gone, _) = at("fentry/blk_account_io_start", &|_| None);
    assert!(gone.contains("inlined") && !gone.contains("placeholder"), "{gone}");
    // What a module has is neither.
    let (in_module, _) = at("lsm/generic_lsm_core", &|name| place().filter(|_| name == "bpf_lsm_generic_lsm_core"));
    assert!(in_module.contains("is in kernel module") && !in_module.contains("placeholder"), "{in_module}");
    assert!(!in_module.contains("inlined"), "{in_module}");
}

#[test]
fn rules_are_told_in_full() {
    let texts = [
        licence(Some("bpf_trace_printk"), Some("Proprietary"), "6.1"),
        licence(None, None, "6.1"),
        attach_target("fentry.s/vfs_read", "vfs_read is not sleepable", "6.1"),
        attach_target("fmod_ret/vfs_read", "vfs_read() is not modifiable", "6.1"),
        kfunc("bpf_task_from_pid", "kprobe/x", "6.12"),
        config_option("CONFIG_BPF_KPROBE_OVERRIDE", "`bpf_override_return`", "6.1"),
        kconfig_extern("CONFIG_NO_SUCH_THING", "6.1"),
        module("struct xfs_inode", &["xfs".to_owned()], false, "6.1"),
        module("struct xfs_inode", &["xfs".to_owned()], true, "6.1"),
        without_debug_info("6.1"),
    ];
    insta::assert_snapshot!(texts.map(|explanation| render(&explanation, 100)).join("\n"));
}
