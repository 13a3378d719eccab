//! [`serve`]: answers the requests about one object.

use std::cell::OnceCell;
use std::convert::Infallible;
use std::fs;
use std::io::{BufRead, Write};

use aya::{Btf, Ebpf, EbpfError, EbpfLoader, Endianness, VerifierLogLevel};

use crate::Trouble;
use crate::failure::guarded;
use crate::message::{AFTER_FAILURE, Answer, LIBRARY, Load, Messages, Open, Request};
use crate::pins::Pins;
use crate::program::{self, Against};
use crate::sections::{self, Sections};

/// Opens an object and loads programs of it. Returns the first request that is not about it.
pub fn serve(open: &Open, messages: &mut Messages<impl BufRead, impl Write>) -> Result<Option<Request>, Trouble> {
    let pins = Pins::make()?;
    let given = match &open.kernel_btf {
        Some(path) => guarded(|| Btf::parse_file(path, Endianness::default())).map(Some),
        None => Ok(None),
    };
    let given = match given {
        Ok(given) => given,
        Err(error) => {
            messages.answer(&Answer::Failed { library: Some(LIBRARY), error: format!("kernel BTF: {error}") })?;
            return messages.request();
        }
    };
    let mut object = match Object::open(open, &pins, given.as_ref()) {
        Ok((object, programs)) => {
            messages.answer(&Answer::Opened { library: LIBRARY, programs, log: AFTER_FAILURE })?;
            object
        }
        Err(answer) => {
            messages.answer(&answer)?;
            return messages.request();
        }
    };
    loop {
        let load = match messages.request()? {
            Some(Request::Load(load)) => load,
            next => return Ok(next),
        };
        object.held = None;
        pins.clear()?;
        let answer = object.load(&load);
        messages.answer(&answer)?;
    }
}

/// Reads a file as `EbpfLoader::load_file` does.
fn read(path: &str) -> Result<Vec<u8>, EbpfError> {
    fs::read(path).map_err(|error| EbpfError::FileError { path: path.into(), error })
}

struct Object<'a> {
    open: &'a Open,
    data: Vec<u8>,
    sections: Sections,
    loader: EbpfLoader<'a>,
    /// The types that programs are loaded against instead of the kernel's.
    given: Option<&'a Btf>,
    own: OnceCell<Btf>,
    /// The maps and the program of the last load, which stay until the next.
    held: Option<Ebpf>,
}

impl<'a> Object<'a> {
    /// The object and its programs' names. The library creates all maps at this point; they are closed again, because it takes the
    /// log's level, which a load says, before it reads an object.
    fn open(open: &'a Open, pins: &Pins, given: Option<&'a Btf>) -> Result<(Self, Vec<String>), Answer> {
        let failed = |error| Answer::Failed { library: Some(LIBRARY), error };
        let unsupported = |error| Answer::Unsupported { library: Some(LIBRARY), error };
        let data = guarded(|| read(&open.path)).map_err(failed)?;
        let mut loader = guarded(|| Ok::<_, Infallible>(EbpfLoader::new())).map_err(failed)?;
        loader.default_map_pin_directory(pins.folder());
        if let Some(types) = given {
            loader.btf(Some(types));
        }
        open.settings.apply(&mut loader).map_err(unsupported)?;
        for (map, pin) in &open.reuse {
            loader.map_pin_path(map, pin.as_path());
        }
        let opened = guarded(|| loader.load(&data)).map_err(failed)?;
        open.settings.check(&opened).map_err(unsupported)?;
        if let Some(map) = open.reuse.keys().find(|map| opened.map(map).is_none()) {
            return Err(unsupported(format!("aya finds no map `{map}` to reuse one for")));
        }
        let mut programs: Vec<_> = opened.programs().map(|(name, _)| name.to_owned()).collect();
        programs.sort();
        let sections = Sections::of(&data);
        Ok((Self { open, data, sections, loader, given, own: OnceCell::new(), held: None }, programs))
    }

    fn load(&mut self, load: &Load) -> Answer {
        let failed = |error| Answer::Failed { library: None, error };
        self.loader.verifier_log_level(VerifierLogLevel::from_bits_retain(load.log_level));
        let mut loaded = match guarded(|| self.loader.load(&self.data)) {
            Ok(loaded) => loaded,
            Err(error) => return failed(error),
        };
        let Some(program) = loaded.program_mut(&load.program) else {
            return failed(format!("aya finds no program `{}`", load.program));
        };
        let section = self.sections.of_program(&load.program);
        let target = self.open.settings.target(&load.program).or_else(|| sections::target(section));
        let answer = program::load(program, &Against { target, section, types: &|| self.types() });
        self.held = Some(loaded);
        answer
    }

    fn types(&self) -> Result<&Btf, String> {
        if let Some(types) = self.given.or_else(|| self.own.get()) {
            return Ok(types);
        }
        let read = guarded(Btf::from_sys_fs)?;
        Ok(self.own.get_or_init(|| read))
    }
}
