//! [`tables`]: what an object's own loader does, as the tables of a suite.

use std::fmt::Write as _;

use crate::record::{LoadingRecord, MapDefinition};

/// What was done to an object of this name as `[[program]]` and `[[map]]` tables of a suite.
pub fn tables(loading: &LoadingRecord, object: &str) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let mut text = String::new();
    let mut of_object = String::new();
    if loading.static_programs {
        of_object += "static-programs = true\n";
    }
    if loading.called_programs {
        of_object += "called-programs = true\n";
    }
    if loading.legacy_maps {
        of_object += "legacy-maps = true\n";
    }
    if !loading.stubs.is_empty() {
        let stubs: Vec<String> = loading.stubs.iter().map(|stub| quoted(stub)).collect();
        let _ = writeln!(of_object, "stubs = [{}]", stubs.join(", "));
    }
    of_object.extend(loading.privileges.iter().map(|privileges| privileges.setting() + "\n"));
    of_object.extend(loading.btf.iter().map(|path| format!("btf = {}\n", quoted(path))));
    for one in &loading.constants {
        of_object.extend(one.value.map(|value| format!("set.{} = {value}\n", quoted(&one.constant))));
    }
    for one in &loading.variables {
        let _ = writeln!(of_object, "set.{} = {}", quoted(&one.variable), one.value);
    }
    if !of_object.is_empty() {
        let _ = write!(text, "\n[[object]]\nobject = {}\n{of_object}", quoted(object));
    }
    for one in &loading.programs {
        let _ = writeln!(text, "\n[[program]]\nprogram = {}", quoted(&format!("{object}/{}", one.program)));
        // The object of another target is not there, so the program cannot be loaded for it.
        let prefix = format!("{object}/");
        let own = one.target_program.as_ref().and_then(|name| name.strip_prefix(&prefix));
        let (target, function) = match (&one.target_program, own) {
            (None, _) => (one.target.clone(), None),
            (Some(_), Some(own)) => (Some(format!(":{own}")), one.target.clone()),
            (Some(_), None) => (None, None),
        };
        let named = [
            ("type", &one.prog_type),
            ("attach-type", &one.attach_type),
            ("target", &target),
            ("target-function", &function),
        ];
        for (key, value) in named {
            text.extend(value.iter().map(|value| format!("{key} = {}\n", quoted(value))));
        }
        text.extend(one.autoload.map(|autoload| format!("autoload = {autoload}\n")));
        if !one.flags.is_empty() {
            let flags: Vec<String> = one.flags.iter().map(|flag| quoted(flag)).collect();
            let _ = writeln!(text, "flags = [{}]", flags.join(", "));
        }
    }
    let keys = |definition: &MapDefinition| {
        let numbers = [
            ("key-size", definition.key_size),
            ("value-size", definition.value_size),
            ("max-entries", definition.max_entries),
            ("map-flags", definition.map_flags),
        ];
        let kind = definition.map_type.iter().map(|kind| format!("type = {}", quoted(kind)));
        let numbers = numbers.into_iter().filter_map(|(key, value)| Some(format!("{key} = {}", value?)));
        kind.chain(numbers).collect::<Vec<_>>()
    };
    for one in &loading.maps {
        let _ = writeln!(text, "\n[[map]]\nmap = {}", quoted(&format!("{object}/{}", one.map)));
        text.extend(keys(&one.definition).iter().map(|line| format!("{line}\n")));
        text.extend(one.pinning.iter().map(|pinning| format!("pinning = {}\n", quoted(pinning))));
        text.extend(one.inner.iter().map(|inner| format!("inner = {{ {} }}\n", keys(inner).join(", "))));
        // The other object is not there, so its map is created from its definition.
        let reused = one.reuse.iter().map(|reuse| keys(&reuse.definition).join(", "));
        text.extend(reused.map(|keys| format!("reuse = {{ {keys} }}\n")));
    }
    text
}
