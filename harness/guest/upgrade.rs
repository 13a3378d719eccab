//! [`leave_maps`]: an older object's maps, created, pinned and filled by a process of their own that ends. [`look`]: what the newer object
//! made of them.

mod content;

use std::fs;
use std::os::fd::RawFd;

use libbpf_rs::{AsRawLibbpf, OpenMap, OpenObject, libbpf_sys as sys};

use super::created_maps;
use super::fork::{self, Ending};
use super::loaded_map;
use super::loader::Request;
use super::prepared::{Prepared, Which, prepare};
use corematrix_protocol::ObjectSetup;
use corematrix_protocol::upgrade::{NewMap, OldMap, UpgradeFacts, UpgradeFrom};
use corematrix_record::LoadingRecord;

/// Has another process create, pin and fill the maps of the older object, and end.
pub fn leave_maps(request: &Request<'_>, from: &UpgradeFrom, again: &mut dyn FnMut()) -> UpgradeFacts {
    let failed = |why: String| UpgradeFacts { failed: Some(why), ..UpgradeFacts::default() };
    let ended = fork::run_piped(|pipe| {
        let told = create_and_fill(request, from, again);
        i32::from(serde_json::to_writer(pipe, &told).is_err())
    });
    match ended {
        Ok((Ending::Code(0), told)) => match serde_json::from_slice::<Result<Vec<OldMap>, String>>(&told) {
            Ok(Ok(old)) => UpgradeFacts { old, ..UpgradeFacts::default() },
            Ok(Err(why)) => failed(why),
            Err(error) => failed(format!("the process that fills the maps sent no answer: {error}")),
        },
        Ok((Ending::Signal(signal), _)) => {
            failed(format!("libbpf died of signal {signal} while it handled `{}`", from.name))
        }
        Ok((Ending::Code(code), _)) => failed(format!("the process that fills the maps ended with code {code}")),
        Err(why) => failed(why),
    }
}

fn create_and_fill(request: &Request<'_>, from: &UpgradeFrom, again: &mut dyn FnMut()) -> Result<Vec<OldMap>, String> {
    let bytes = fs::read(&from.object).map_err(|error| format!("cannot read `{}`: {error}", from.object))?;
    let loading = LoadingRecord { maps: from.loading.clone(), ..LoadingRecord::default() };
    let old = Request {
        object: from.name.clone(),
        programs: Vec::new(),
        full_logs: false,
        visited: Vec::new(),
        setup: ObjectSetup { loading, ..ObjectSetup::default() },
        reach: request.reach,
        extern_users: from.extern_users.clone(),
        bytes,
        loader: None,
        compared: false,
        brief: false,
        together: false,
        bare: true,
        faults: request.faults,
    };
    let prepared = prepare(&old, Which::Maps, &mut None, again).map_err(|failure| {
        let warnings = failure.warnings();
        let why = warnings.first().map_or("libbpf gives no reason", String::as_str);
        format!("the maps of `{}` cannot be created: {why}", from.name)
    })?;
    let mut told = Vec::new();
    for map in own_maps(&prepared.open) {
        let name = map.name().to_string_lossy().into_owned();
        let left_out = prepared.left_out.iter().find(|left| left.map == name);
        let (descriptor, pin) = (descriptor(&map), pin_of(&map));
        let mut one = OldMap {
            definition: created_maps::definition(&map),
            id: loaded_map::id(descriptor),
            problem: left_out.map(|left| left.warning.clone()),
            pin: pin.filter(|_| left_out.is_none()),
            map: name,
            ..OldMap::default()
        };
        if one.id.is_some() && one.pin.is_some() {
            match content::fill(descriptor, &one.definition) {
                Ok(values) => one.values = values,
                Err(why) => one.not_filled = Some(why),
            }
        }
        told.push(one);
    }
    Ok(told)
}

/// What the newer object, which is prepared, made of the maps.
pub fn look(prepared: &Prepared, facts: &mut UpgradeFacts) {
    let new = own_maps(&prepared.open).map(|map| {
        let name = map.name().to_string_lossy().into_owned();
        let left_out = prepared.left_out.iter().find(|left| left.map == name);
        let problem = left_out.map(|left| std::iter::once(&left.warning).chain(&left.context).cloned().collect());
        let descriptor = descriptor(&map);
        let id = loaded_map::id(descriptor).filter(|_| left_out.is_none());
        let definition = created_maps::definition(&map);
        let before = facts.old.iter().find(|old| old.map == name);
        let values = before.filter(|_| id.is_some()).map_or(0, |before| before.values.len());
        NewMap {
            values: content::read(descriptor, &definition, values),
            pin: pin_of(&map),
            problem: problem.unwrap_or_default(),
            map: name,
            id,
            definition,
        }
    });
    facts.new = Some(new.collect());
}

/// The maps that the object declares itself.
fn own_maps(open: &OpenObject) -> impl Iterator<Item = OpenMap<'_>> {
    open.maps().filter(|map| {
        let raw = map.as_libbpf_object().as_ptr();
        // SAFETY: the pointer is that of a map whose object lives.
        let is_internal = unsafe { sys::bpf_map__is_internal(raw) };
        !is_internal && map.map_type() != libbpf_rs::MapType::StructOps
    })
}

fn descriptor(map: &OpenMap<'_>) -> RawFd {
    // SAFETY: the pointer is that of a map whose object lives; one that was not created has a negative descriptor.
    unsafe { sys::bpf_map__fd(map.as_libbpf_object().as_ptr()) }
}

fn pin_of(map: &OpenMap<'_>) -> Option<String> {
    // SAFETY: as above; libbpf gives null or a string that lives as long as the map.
    let path = unsafe { sys::bpf_map__pin_path(map.as_libbpf_object().as_ptr()) };
    if path.is_null() {
        return None;
    }
    // SAFETY: not null, so a string of libbpf's.
    Some(unsafe { std::ffi::CStr::from_ptr(path) }.to_string_lossy().into_owned())
}
