use std::fs;

use super::super::{Settings, Suite};
use super::*;
use crate::object::find_objects;

/// What a suite of the object `kinds` says, or message and hint of what is wrong with it.
fn settings(text: &str) -> Result<Settings, String> {
    let folder = tempfile::tempdir().unwrap();
    let object = include_bytes!("../../../tests/fixtures/attach/kinds.bpf.o");
    fs::write(folder.path().join("kinds.bpf.o"), object).unwrap();
    fs::write(folder.path().join("packet.bin"), [7; 20]).unwrap();
    let path = folder.path().join("s.toml");
    fs::write(&path, format!("name = \"n\"\nobjects = [\"kinds.bpf.o\"]\n[[program]]\n{text}")).unwrap();
    let settings = Suite::load(&path).and_then(|suite| {
        let objects = find_objects(&suite.objects).unwrap().objects;
        suite.settings(&objects)
    });
    settings.map_err(|error| {
        let hint = error.hint().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        let message = error.to_string().replace(&folder.path().display().to_string(), "DIR");
        format!("{}{hint}", message.strip_prefix("suite `DIR/s.toml`, ").unwrap_or(&message))
    })
}

#[test]
fn what_is_done_with_a_program_is_kept() {
    let setup = |text: &str| settings(text).unwrap().programs.remove(0).1;
    let probe =
        setup("program = \"probe_nothing\"\nattach.function = \"vfs_read\"\ntriggers = [\"file\", \"its socket\"]");
    assert_eq!(probe.attach, Some(AttachTo::Function("vfs_read".to_owned())));
    assert_eq!(probe.exercise.unwrap().triggers, ["file", "its socket"]);
    let user = setup("program = \"kinds/user\"\nattach = { binary = \"libc.so.6\", function = \"fork\" }");
    let target = AttachTo::UserFunction { binary: "libc.so.6".to_owned(), function: "fork".to_owned() };
    assert_eq!((user.attach, user.exercise), (Some(target), None));
    let packet = setup(
        "program = \"packet\"\nattach.interface = \"lo\"\ncommand = [\"/init\", \"-V\"]\n\
         test-run = { input-file = \"packet.bin\", context = \"00 0A\", repeat = 3, returns = -1 }",
    );
    let test_run =
        TestRunPlan { input: Some(vec![7; 20]), context: Some(vec![0, 10]), repeat: 3, returns: Some(u32::MAX) };
    let exercise = ExercisePlan {
        triggers: Vec::new(),
        command: Some(["/init", "-V"].map(str::to_owned).to_vec()),
        test_run: Some(test_run),
    };
    assert_eq!(packet.exercise, Some(exercise));
    for (target, words) in [
        ("program = \"group\"\nattach.cgroup = \"a/b\"", "cgroup `a/b`"),
        ("program = \"event\"\nattach.tracepoint = \"sched/sched_switch\"", "tracepoint `sched/sched_switch`"),
        ("program = \"raw_event\"\nattach.tracepoint = \"sched_switch\"", "tracepoint `sched_switch`"),
    ] {
        assert_eq!(setup(target).attach.unwrap().to_string(), words);
    }
}

#[test]
fn what_cannot_be_done_with_a_program_is_named_with_its_line() {
    let packet = |rest: &str| format!("program = \"packet\"\ntest-run = {{ {rest} }}");
    let mistakes = [
        "program = \"packt\"\ntriggers = [\"udp\"]".to_owned(),
        "program = \"packet\"".to_owned(),
        "program = \"packet\"\ntrigger = [\"udp\"]".to_owned(),
        "program = \"packet\"\ntriggers = [\"udq\"]".to_owned(),
        "program = \"packet\"\ntriggers = [\"tcp\"]\n[[program]]\nprogram = \"kinds/packet\"\ntriggers = [\"udp\"]"
            .to_owned(),
        "program = \"packet\"\n\ncommand = [\"ping\"]".to_owned(),
        "program = \"packet\"\nattach.function = \"vfs_read\"".to_owned(),
        "program = \"packet\"\nattach.binary = \"/init\"".to_owned(),
        "program = \"probe\"\nattach = { function = \"main\", binary = \"/init\" }".to_owned(),
        "program = \"event\"\nattach.tracepoint = \"sched_switch\"".to_owned(),
        "program = \"probe\"\nattach.interface = \"lo\"".to_owned(),
        "program = \"group\"\nattach.cgroup = \"/sys/fs/cgroup\"".to_owned(),
        "program = \"probe\"\ntest-run.returns = 0".to_owned(),
        "program = \"raw_event\"\ntest-run.input = \"00\"".to_owned(),
        "program = \"raw_event\"\ntest-run.repeat = 2".to_owned(),
        packet("input = \"0\""),
        packet("input = \"zz\""),
        packet("input = \"00 01\""),
        packet("input = \"00\", input-file = \"packet.bin\""),
        packet("input-file = \"nothing.bin\""),
        packet("repeat = 0"),
        packet("returns = 4294967296"),
    ];
    let messages = mistakes.iter().map(|text| settings(text).expect_err(text));
    insta::assert_snapshot!(messages.collect::<Vec<_>>().join("\n"));
}
