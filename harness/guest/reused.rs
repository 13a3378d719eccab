//! [`ReusedMaps`]: maps that the guest creates for an object that does not create them itself.

use std::ffi::{CString, c_char};
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

use libbpf_rs::{AsRawLibbpf, OpenObject, libbpf_sys as sys};

use super::loader::Request;
use super::prepared::{Which, prepare};
use corematrix_protocol::libbpf_log::{Level, Line};
use corematrix_protocol::{LeftOutMap, ObjectSetup, ReusedMap};
use corematrix_record::LoadingRecord;

/// Where they are pinned for loaders that are processes of their own.
const PINS: &str = "/sys/fs/bpf/corematrix-reused";

/// Maps that are there, each with the name of the object's map in place of which it is given.
pub struct ReusedMaps(Vec<(String, OwnedFd)>);

impl ReusedMaps {
    /// Creates what the request asks for, and reports what the kernel refused.
    pub fn create(request: &Request<'_>, again: &mut dyn FnMut()) -> (ReusedMaps, Vec<LeftOutMap>) {
        let (mut created, mut refused) = (Vec::new(), Vec::new());
        let is_wanted = |one: &&ReusedMap| !request.setup.without.iter().any(|left| left.map == one.map);
        for one in request.setup.reused.iter().filter(is_wanted) {
            match create(one, request, again) {
                Ok(descriptor) => created.push((one.map.clone(), descriptor)),
                Err(left) => refused.push(left),
            }
        }
        (ReusedMaps(created), refused)
    }

    /// Gives them to an object that was not prepared yet. libbpf calls its maps by the names that the kernel has for these from then on.
    /// `Err` is the map that libbpf did not take, and its errno.
    pub fn give(&self, open: &mut OpenObject) -> Result<(), (String, i32)> {
        for (name, descriptor) in &self.0 {
            let failed = |errno: i32| (name.clone(), errno);
            let map = open.maps().find(|map| map.name() == name.as_str()).ok_or_else(|| failed(libc::ENOENT))?;
            // SAFETY: the pointer is that of a map whose object is open; libbpf duplicates the descriptor.
            let result = unsafe { sys::bpf_map__reuse_fd(map.as_libbpf_object().as_ptr(), descriptor.as_raw_fd()) };
            if result != 0 {
                return Err(failed(-result));
            }
        }
        Ok(())
    }

    /// Pins them, and returns the name of each and its path.
    pub fn pin(&self) -> Result<Vec<(String, PathBuf)>, String> {
        let mut pinned = Vec::new();
        for (number, (name, descriptor)) in self.0.iter().enumerate() {
            let path = PathBuf::from(PINS).join(number.to_string());
            let failed = |error: std::io::Error| format!("cannot pin map `{name}` at `{}`: {error}", path.display());
            fs::create_dir_all(PINS).map_err(failed)?;
            let text = CString::new(path.to_string_lossy().as_bytes()).map_err(|error| failed(error.into()))?;
            // SAFETY: a descriptor that is open and a C string, both for the call.
            let result = unsafe { sys::bpf_obj_pin(descriptor.as_raw_fd(), text.as_ptr().cast::<c_char>()) };
            if result != 0 {
                return Err(failed(std::io::Error::from_raw_os_error(-result)));
            }
            pinned.push((name.clone(), path));
        }
        Ok(pinned)
    }
}

/// Has libbpf create one map of the object that declares it, and nothing else.
fn create(reused: &ReusedMap, request: &Request<'_>, again: &mut dyn FnMut()) -> Result<OwnedFd, LeftOutMap> {
    let left_out = |warning: String, context: Vec<String>| LeftOutMap {
        map: reused.map.clone(),
        warning,
        context,
        untried: false,
    };
    let failed = |why: String| left_out(format!("map '{}': the map to reuse: {why}", reused.map), Vec::new());
    let bytes = match &reused.object {
        Some(path) => fs::read(path).map_err(|error| failed(format!("cannot read `{path}`: {error}")))?,
        None => request.bytes.clone(),
    };
    let loading = LoadingRecord { maps: reused.loading.clone(), ..LoadingRecord::default() };
    let only = Request {
        object: "reused".to_owned(),
        programs: Vec::new(),
        full_logs: false,
        visited: Vec::new(),
        setup: ObjectSetup { loading, ..ObjectSetup::default() },
        reach: request.reach,
        extern_users: reused.extern_users.clone(),
        bytes,
        loader: None,
        compared: false,
        brief: false,
        together: false,
        bare: true,
        faults: request.faults,
    };
    match prepare(&only, Which::MapAlone(&reused.source), &mut None, again) {
        Ok(prepared) => {
            if let Some(left) = prepared.left_out.into_iter().find(|left| left.map == reused.source) {
                return Err(left_out(left.warning, left.context));
            }
            let map = prepared.open.maps().find(|map| map.name() == reused.source.as_str());
            // SAFETY: the pointer is that of a map whose object lives.
            let descriptor = map.map(|map| unsafe { sys::bpf_map__fd(map.as_libbpf_object().as_ptr()) });
            let Some(descriptor) = descriptor.filter(|descriptor| *descriptor >= 0) else {
                return Err(failed("libbpf did not create it".to_owned()));
            };
            // SAFETY: it stays open until `prepared` is dropped, which is after the call.
            let borrowed = unsafe { std::os::fd::BorrowedFd::borrow_raw(descriptor) };
            borrowed.as_fd().try_clone_to_owned().map_err(|error| failed(error.to_string()))
        }
        Err(failure) => {
            let mut warnings = failure.warnings().into_iter();
            let why = warnings.next().unwrap_or_else(|| "libbpf gives no reason".to_owned());
            Err(LeftOutMap { context: warnings.collect(), ..failed(why) })
        }
    }
}

/// The line for a map that libbpf did not take.
pub fn not_taken(map: &str, errno: i32) -> Line {
    let errno = nix::errno::Errno::from_raw(errno);
    Line { level: Level::Warn, text: format!("map '{map}': bpf_map__reuse_fd: -{errno:?}") }
}
