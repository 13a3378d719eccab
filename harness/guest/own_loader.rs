//! [`apply`]: does to an object what its own loader does, between opening and preparing it.

use std::ffi::{CStr, CString, c_char};
use std::os::fd::{AsFd, OwnedFd};

use super::pins;
use corematrix_record::{LoadingRecord, MapDefinition, MapLoading, ProgramLoading};
use libbpf_rs::libbpf_sys as sys;
use libbpf_rs::{AsRawLibbpf, Error, MapHandle, OpenMapMut, OpenObject, OpenProgramMut};

/// What could not be set, and libbpf's error; `None` if libbpf has no such thing.
pub struct Refused {
    /// What was set: `map `events``.
    pub what: String,
    /// Why not.
    pub error: Option<Error>,
}

/// What applying it left.
#[derive(Default)]
pub struct Applied {
    /// Has to live until the object is prepared: the maps that those in maps are like.
    pub held: Vec<OwnedFd>,
    /// Programs whose targets the kernel does not have, and the targets.
    pub missing_targets: Vec<(String, String)>,
}

/// Applies it.
pub fn apply(open: &mut OpenObject, loading: &LoadingRecord) -> Result<Applied, Refused> {
    let refused = |what: String| move |error| Refused { what, error };
    let mut applied = Applied::default();
    for one in &loading.programs {
        let what = format!("program `{}`", one.program);
        let mut program = open.progs_mut().find(|program| program.name() == one.program.as_str());
        let program = program.as_mut().ok_or_else(|| refused(what.clone())(None))?;
        set_program(program, one).map_err(Some).map_err(refused(what.clone()))?;
        // A function of another program is set when that is loaded.
        if let Some(target) = one.target.as_ref().filter(|_| one.target_program.is_none()) {
            match set_target(program, target) {
                Ok(()) => {}
                // One program lacks its target; the others of the object do not.
                Err(libc::ESRCH | libc::ENOENT) => {
                    applied.missing_targets.push((one.program.clone(), target.clone()));
                }
                Err(errno) => return Err(refused(what)(Some(Error::from_raw_os_error(errno)))),
            }
        }
    }
    for one in &loading.maps {
        let what = format!("map `{}`", one.map);
        let mut map = open.maps_mut().find(|map| map.name() == one.map.as_str());
        let map = map.as_mut().ok_or_else(|| refused(what.clone())(None))?;
        applied.held.extend(set_map(map, one).map_err(Some).map_err(refused(what))?);
    }
    Ok(applied)
}

/// Sets the function that a program is loaded for. `Err` is the errno, positive.
fn set_target(program: &mut OpenProgramMut<'_>, target: &str) -> Result<(), i32> {
    let target = CString::new(target).map_err(|_| libc::EINVAL)?;
    // SAFETY: the pointer is that of a program whose object is open and has not been prepared; the string lives for the call.
    let result =
        unsafe { sys::bpf_program__set_attach_target(program.as_libbpf_object().as_ptr(), 0, target.as_ptr()) };
    if result == 0 { Ok(()) } else { Err(-result) }
}

fn set_program(program: &mut OpenProgramMut<'_>, loading: &ProgramLoading) -> Result<(), Error> {
    let raw = program.as_libbpf_object().as_ptr();
    if let Some(name) = &loading.prog_type {
        let number = number(name, sys::__MAX_BPF_PROG_TYPE, sys::libbpf_bpf_prog_type_str)?;
        // SAFETY: the pointer is that of a program whose object is open and has not been prepared.
        succeeded(unsafe { sys::bpf_program__set_type(raw, number) })?;
    }
    if let Some(name) = &loading.attach_type {
        let number = number(name, sys::__MAX_BPF_ATTACH_TYPE, sys::libbpf_bpf_attach_type_str)?;
        // SAFETY: as above.
        succeeded(unsafe { sys::bpf_program__set_expected_attach_type(raw, number) })?;
    }
    if !loading.flags.is_empty() {
        // SAFETY: as above.
        let own = unsafe { sys::bpf_program__flags(raw) };
        let flags = loading.flags.iter().try_fold(own, |all, name| Ok::<u32, Error>(all | flag(name)?))?;
        program.set_flags(flags);
    }
    let is_extension = loading.prog_type.as_deref() == Some("ext");
    if is_extension && loading.attach_type.is_none() {
        // That of its section is one of another type, and the kernel takes none.
        // SAFETY: as above.
        succeeded(unsafe { sys::bpf_program__set_expected_attach_type(raw, 0) })?;
    }
    Ok(())
}

fn set_map(map: &mut OpenMapMut<'_>, loading: &MapLoading) -> Result<Option<OwnedFd>, Error> {
    let raw = map.as_libbpf_object().as_ptr();
    let MapDefinition { map_type, key_size, value_size, max_entries, map_flags } = &loading.definition;
    if let Some(name) = map_type {
        // SAFETY: the pointer is that of a map whose object is open and has not been prepared.
        succeeded(unsafe { sys::bpf_map__set_type(raw, map_type_number(name)?) })?;
    }
    if let Some(bytes) = key_size {
        // SAFETY: as above.
        succeeded(unsafe { sys::bpf_map__set_key_size(raw, *bytes) })?;
    }
    if let Some(bytes) = value_size {
        map.set_value_size(*bytes)?;
    }
    if let Some(entries) = max_entries {
        map.set_max_entries(*entries)?;
    }
    if let Some(flags) = map_flags {
        map.set_map_flags(*flags)?;
    }
    // What the object says of it is no longer in there.
    if let Some(path) = loading.pinning.as_deref().and_then(|pinning| pins::path(pinning, &loading.map)) {
        pins::make_folders(&path);
        map.set_pin_path(path)?;
    }
    let Some(inner) = &loading.inner else { return Ok(None) };
    let template = create(inner)?;
    map.set_inner_map_fd(template.as_fd())?;
    Ok(Some(template))
}

/// Creates the map that those in a map of maps are like.
fn create(definition: &MapDefinition) -> Result<OwnedFd, Error> {
    let kind = definition.map_type.as_deref().unwrap_or_default();
    let options = sys::bpf_map_create_opts {
        sz: size_of::<sys::bpf_map_create_opts>() as sys::size_t,
        map_flags: definition.map_flags.unwrap_or_default(),
        ..Default::default()
    };
    let map = MapHandle::create(
        libbpf_rs::MapType::from(map_type_number(kind)?),
        None::<&str>,
        definition.key_size.unwrap_or_default(),
        definition.value_size.unwrap_or_default(),
        definition.max_entries.unwrap_or_default(),
        &options,
    )?;
    Ok(map.as_fd().try_clone_to_owned()?)
}

fn map_type_number(name: &str) -> Result<u32, Error> {
    number(name, sys::__MAX_BPF_MAP_TYPE, sys::libbpf_bpf_map_type_str)
}

/// The number that libbpf gives this name to.
fn number(name: &str, end: u32, names: unsafe extern "C" fn(u32) -> *const c_char) -> Result<u32, Error> {
    let is_it = |number: &u32| {
        // SAFETY: takes any number, and returns null or a constant string.
        let text = unsafe { names(*number) };
        // SAFETY: not null, so a constant string.
        !text.is_null() && unsafe { CStr::from_ptr(text) }.to_bytes() == name.as_bytes()
    };
    (0..end).find(is_it).ok_or_else(|| Error::from_raw_os_error(libc::EINVAL))
}

fn flag(name: &str) -> Result<u32, Error> {
    match name {
        "BPF_F_SLEEPABLE" => Ok(sys::BPF_F_SLEEPABLE),
        "BPF_F_XDP_HAS_FRAGS" => Ok(sys::BPF_F_XDP_HAS_FRAGS),
        _ => Err(Error::from_raw_os_error(libc::EINVAL)),
    }
}

fn succeeded(result: i32) -> Result<(), Error> {
    if result == 0 { Ok(()) } else { Err(Error::from_raw_os_error(-result)) }
}
