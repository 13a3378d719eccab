//! [`prepare`]: opens an object and lets libbpf do everything that comes before the first program is loaded.

use std::borrow::Cow;
use std::time::Duration;

use libbpf_rs::{AsRawLibbpf, ErrorKind, ObjectBuilder, OpenObject};

use super::loader::Request;
use super::own_loader::{self, Applied, Refused};
use super::reused::{ReusedMaps, not_taken};
use super::symbols::weaken;
use super::targets::Targets;
use super::transcript;
use corematrix_protocol::libbpf_log::{self, Level, Line};
use corematrix_protocol::{LeftOutMap, ObjectSetup};
use corematrix_record::LoadingRecord;

/// How long the kernel may take to free maps that are no longer used.
const FREEING: Duration = Duration::from_millis(500);

/// Which programs of an object are switched on.
#[derive(Clone, Copy)]
pub enum Which<'a> {
    /// Every one, also those that are optional, but for those that the object's own loader never loads.
    All,
    /// Only this one.
    One(&'a str),
    /// No program, and every map.
    Maps,
    /// No program, and of the maps only this one, with those that are in it.
    MapAlone(&'a str),
}

/// An object that is ready to load programs.
pub struct Prepared {
    /// The object.
    pub open: OpenObject,
    /// Maps that the kernel would not create.
    pub left_out: Vec<LeftOutMap>,
    /// Strong externs that the kernel does not have, each with libbpf's warning; the object was prepared as if they were weak.
    pub missing_externs: Vec<(String, String)>,
    /// Its maps of struct_ops.
    pub struct_ops: Vec<StructOps>,
    /// The programs of which its programs replace or trace functions.
    pub targets: Targets,
    /// What libbpf said on the way.
    pub lines: Vec<Line>,
}

impl Prepared {
    /// libbpf's warning about a missing extern that the program refers to.
    pub fn missing_extern_of(&self, program: &str, request: &Request<'_>) -> Option<&str> {
        let refers = |name: &String| {
            request.extern_users.get(name).is_some_and(|users| users.iter().any(|user| user == program))
        };
        self.missing_externs.iter().find(|(name, _)| refers(name)).map(|(_, warning)| warning.as_str())
    }
}

/// A map of struct_ops.
pub struct StructOps {
    /// Its name.
    pub map: String,
    /// The programs that it points to.
    pub programs: Vec<String>,
}

/// Why an object could not be prepared.
pub struct Failure {
    /// Whether it could at least be opened.
    pub opened: bool,
    /// Positive.
    pub errno: i32,
    /// What libbpf said on the way.
    pub lines: Vec<Line>,
}

impl Failure {
    /// libbpf's warnings.
    pub fn warnings(&self) -> Vec<String> {
        libbpf_log::warnings(&self.lines)
    }

    fn of(opened: bool, error: &libbpf_rs::Error) -> Failure {
        let mut lines = transcript::take();
        if !lines.iter().any(|line| line.level == Level::Warn) {
            lines.push(Line { level: Level::Warn, text: format!("{error:#}") });
        }
        Failure { opened, errno: errno_of(error), lines }
    }
}

/// Opens and prepares the object, leaving out map after map for as long as a map is what stands in the way, and making extern after
/// extern weak that the kernel does not have.
///
/// `first_failure` gets the warnings of the first try if that failed; `again` is called before each further one.
pub fn prepare(
    request: &Request<'_>,
    which: Which<'_>,
    first_failure: &mut Option<Vec<String>>,
    again: &mut dyn FnMut(),
) -> Result<Prepared, Failure> {
    let mut left_out = request.setup.without.clone();
    let (reused, refused) = ReusedMaps::create(request, again);
    left_out.extend(refused);
    if !left_out.is_empty() {
        first_failure.get_or_insert_with(|| left_out.iter().map(|left| left.warning.clone()).collect());
    }
    let mut targets = Targets::load(request, again);
    let mut tries = 0;
    let mut waited = false;
    let mut missing_externs: Vec<(String, String)> = Vec::new();
    let mut bytes = Cow::Borrowed(request.bytes.as_slice());
    loop {
        if tries > 0 {
            again();
        }
        transcript::take();
        let mut builder = ObjectBuilder::default();
        builder.name(&request.object).map_err(|error| Failure::of(false, &error))?;
        if let Some(types) = request.types() {
            builder.btf_custom_path(types).map_err(|error| Failure::of(false, &error))?;
        }
        let mut open = builder.open_memory(&bytes).map_err(|error| Failure::of(false, &error))?;
        let applied = set_up(&mut open, &request.setup)?;
        targets.lack(&applied.missing_targets);
        let struct_ops = switch(&mut open, which, &request.setup.loading, &left_out)?;
        // Last: they take other names.
        if let Err((map, errno)) = reused.give(&mut open) {
            return Err(Failure { opened: true, errno, lines: vec![not_taken(&map, errno)] });
        }
        // SAFETY: the pointer belongs to `open`, which outlives the call and has not been prepared or loaded.
        let result = unsafe { libbpf_rs::libbpf_sys::bpf_object__prepare(open.as_libbpf_object().as_ptr()) };
        let mut lines = transcript::take();
        if result == 0 {
            // Now that there is a token, if there is to be one: finding a function of a program takes it.
            targets.give(&mut open);
            // Last, so that they count: of an extern made weak libbpf says only that it is absent.
            let warn = |(_, text): &(String, String)| Line { level: Level::Warn, text: text.clone() };
            lines.extend(missing_externs.iter().map(warn));
            return Ok(Prepared { open, left_out, missing_externs, struct_ops, targets, lines });
        }
        let warnings = libbpf_log::warnings(&lines);
        first_failure.get_or_insert_with(|| warnings.clone());
        let missing = warnings.iter().find_map(|warning| Some((libbpf_log::missing_extern(warning)?, warning)));
        // One that someone refers to, but no one knows who, fails the object as a whole.
        let missing = missing.filter(|(name, _)| request.extern_users.contains_key(*name));
        if let Some((weak, (name, warning))) = missing.and_then(|known| Some((weaken(&bytes, known.0)?, known))) {
            missing_externs.push((name.to_owned(), warning.clone()));
            bytes = Cow::Owned(weak);
            continue;
        }
        tries += 1;
        if tries > 1 && !waited && warnings.iter().any(|warning| warning.ends_with("-ENOMEM")) {
            // The kernel frees maps of the last try in its own time.
            waited = true;
            drop(open);
            std::thread::sleep(FREEING);
            continue;
        }
        let known = left_out.len();
        for culprit in culprits(&warnings, &lines, &struct_ops, &request.setup) {
            if !left_out.iter().any(|left| left.map == culprit.map) {
                left_out.push(culprit);
            }
        }
        if left_out.len() == known {
            return Err(Failure { opened: true, errno: -result, lines });
        }
    }
}

/// Sets variables, and what else a loader sets between opening and loading.
fn set_up(open: &mut OpenObject, setup: &ObjectSetup) -> Result<Applied, Failure> {
    let lost = |what: String| {
        let lines = vec![Line { level: Level::Warn, text: format!("libbpf has nothing for {what}") }];
        Failure { opened: true, errno: libc::ENOENT, lines }
    };
    for patch in &setup.patches {
        let mut maps = open.maps_mut().filter(|map| is_of_section(&map.name().to_string_lossy(), &patch.section));
        let mut map = maps.next().ok_or_else(|| lost(format!("section `{}`", patch.section)))?;
        let place = map.initial_value_mut().and_then(|all| all.get_mut(patch.offset..)?.get_mut(..patch.bytes.len()));
        let place = place.ok_or_else(|| lost(format!("offset {} of section `{}`", patch.offset, patch.section)))?;
        place.copy_from_slice(&patch.bytes);
    }
    own_loader::apply(open, &setup.loading).map_err(|Refused { what, error }| match error {
        Some(error) => Failure::of(true, &error),
        None => lost(what),
    })
}

/// Whether libbpf made a map of a section: `.rodata` becomes `OBJECT.rodata`, and `.rodata.more` stays what it is.
fn is_of_section(map: &str, section: &str) -> bool {
    map == section || map.strip_suffix(section).is_some_and(|object| !object.starts_with('.'))
}

/// Switches programs and maps on or off. Returns the struct_ops maps.
fn switch(
    open: &mut OpenObject,
    which: Which<'_>,
    loading: &LoadingRecord,
    left_out: &[LeftOutMap],
) -> Result<Vec<StructOps>, Failure> {
    for mut program in open.progs_mut() {
        program.set_autoload(match which {
            Which::All => !loading.leaves_out(&program.name().to_string_lossy()),
            Which::One(name) => program.name() == name,
            Which::Maps | Which::MapAlone(_) => false,
        });
    }
    // A map of maps may be filled with any of the others.
    let holds_maps = open.maps().any(|map| {
        let kinds = [libbpf_rs::MapType::ArrayOfMaps, libbpf_rs::MapType::HashOfMaps];
        matches!(which, Which::MapAlone(only) if map.name() == only) && kinds.contains(&map.map_type())
    });
    let mut struct_ops = Vec::new();
    for mut map in open.maps_mut() {
        let name = map.name().to_string_lossy().into_owned();
        let is_struct_ops = map.map_type() == libbpf_rs::MapType::StructOps;
        let is_unwanted = match which {
            Which::MapAlone(only) => is_struct_ops || !holds_maps && name != only,
            // It would need its programs.
            Which::Maps => is_struct_ops,
            Which::All | Which::One(_) => false,
        };
        if is_unwanted || left_out.iter().any(|left| left.map == name) {
            map.set_autocreate(false).map_err(|error| Failure::of(true, &error))?;
        }
        if is_struct_ops {
            struct_ops.push((name, pointers(map.initial_value().unwrap_or_default())));
        }
    }
    let names = |pointers: Vec<usize>| {
        let own = open.progs().filter(|program| pointers.contains(&program.as_libbpf_object().as_ptr().addr()));
        own.map(|program| program.name().to_string_lossy().into_owned()).collect()
    };
    Ok(struct_ops.into_iter().map(|(map, pointers)| StructOps { map, programs: names(pointers) }).collect())
}

/// What may be pointers among the bytes of a struct_ops map: until it is prepared, libbpf keeps the programs of its members there.
fn pointers(value: &[u8]) -> Vec<usize> {
    value.chunks_exact(8).filter_map(|word| Some(usize::from_ne_bytes(word.try_into().ok()?))).collect()
}

/// The maps that kept an object from being prepared, each with the line that says so.
fn culprits(warnings: &[String], lines: &[Line], struct_ops: &[StructOps], setup: &ObjectSetup) -> Vec<LeftOutMap> {
    let mut culprits = Vec::new();
    let mut add = |map: &str, warning: &String| {
        let context = libbpf_log::about_map(lines, map);
        culprits.push(LeftOutMap { map: map.to_owned(), warning: warning.clone(), context, untried: false });
    };
    for warning in warnings {
        if let Some(map) = libbpf_log::failed_map(warning) {
            add(map, warning);
        }
        match libbpf_log::failed_struct_ops(warning) {
            Some(Some(map)) => add(map, warning),
            // libbpf names the struct. Where it is not known whose that is, all of them are left out.
            Some(None) => {
                let is_of = |known: &&StructOps| {
                    setup.struct_ops.get(&known.map).is_none_or(|name| libbpf_log::names_struct(warning, name))
                };
                struct_ops.iter().filter(is_of).for_each(|known| add(&known.map, warning));
            }
            None => {}
        }
    }
    culprits
}

fn errno_of(error: &libbpf_rs::Error) -> i32 {
    match error.kind() {
        ErrorKind::NotFound => libc::ENOENT,
        ErrorKind::PermissionDenied => libc::EPERM,
        ErrorKind::InvalidInput => libc::EINVAL,
        _ => std::io::Error::last_os_error().raw_os_error().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_of_sections_are_told_apart() {
        assert!(is_of_section("switches.rodata", ".rodata") && is_of_section(".rodata.more", ".rodata.more"));
        assert!(is_of_section("a.b.data", ".data") && !is_of_section("switches.rodata", ".data"));
        assert!(!is_of_section(".data.rodata", ".rodata") && !is_of_section(".rodata.more", ".rodata"));
    }
}
