//! [`Shape`]: an object with other values of its variables, other sizes of its maps, or on another machine.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::{Spanned, Value};

use super::error::Mistake;
use super::machine::{Names, WrittenMachine};
use super::part::Objects;
use super::privileges;
use super::variables::Variables;
use crate::manifest::Profiles;
use crate::object::{BpfObject, MapInfo};
use crate::protocol::{DataPatch, ObjectSetup};
use crate::record::{MACHINE_SETTING, MachineSettings, MapDefinition, MapLoading, ShapeRecord};

/// What settings about privileges begin with; no variable has a dot.
const PRIVILEGES: &str = "privileges.";

/// An object with other values of its variables, other sizes of its maps, on another machine, or with other privileges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Its name; in reports the object is `object@name`.
    pub name: String,
    /// What the guest has to set.
    pub setup: ObjectSetup,
    /// What its machine is like, where the shape says it.
    pub machine: MachineSettings,
    /// The settings as they are written: `targ_failed = true`.
    pub settings: Vec<String>,
}

impl Shape {
    /// A shape that differs in its machine alone.
    pub fn of_machine(name: String, machine: MachineSettings) -> Shape {
        let settings = machine.lines().into_iter().map(|line| format!("{MACHINE_SETTING}{line}")).collect();
        Shape { name, setup: ObjectSetup::default(), machine, settings }
    }

    /// The settings that a run tried `object` with.
    ///
    /// # Errors
    ///
    /// Why they do not fit the object, as a lowercase fragment.
    pub fn recorded(record: &ShapeRecord, object: &BpfObject) -> Result<Shape, String> {
        let written: WrittenShape =
            toml::from_str(&table(record, &object.name)).map_err(|error| error.message().to_owned())?;
        let (_, shape) = written
            .built(Objects(std::slice::from_ref(object)), &Profiles::of(record.machine.profiles.clone()))
            .map_err(|(_, mistake)| mistake.message)?;
        Ok(shape)
    }

    /// The name of an object in this shape.
    pub fn row(&self, object: &str) -> String {
        format!("{object}@{}", self.name)
    }

    /// The object's maps as the shape makes them.
    pub fn sized(&self, maps: &mut [MapInfo]) {
        for loading in &self.setup.loading.maps {
            maps.iter_mut().filter(|map| map.name == loading.map).for_each(|map| map.set(loading));
        }
    }

    /// The shape of an object whose own loader has set variables before.
    ///
    /// # Errors
    ///
    /// Why a setting does not fit the object, as a lowercase fragment.
    pub fn starting_from(mut self, own: &[DataPatch], object: &BpfObject) -> Result<Shape, String> {
        if own.is_empty() {
            return Ok(self);
        }
        let variables = Variables::of(object).starting_from(own);
        let set = self.settings.iter().filter_map(|setting| setting.split_once(" = "));
        let set =
            set.filter(|(name, _)| !["maps.", MACHINE_SETTING, PRIVILEGES].iter().any(|kind| name.starts_with(kind)));
        let patches = set.map(|(name, value)| variables.patch_of_text(name, value));
        self.setup.patches = patches.collect::<Result<_, _>>().map_err(|mistake| mistake.message)?;
        Ok(self)
    }
}

/// A `[[shape]]` table as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenShape {
    object: Spanned<String>,
    name: String,
    #[serde(default)]
    set: BTreeMap<String, Spanned<Value>>,
    #[serde(default)]
    maps: BTreeMap<String, MapSettings>,
    cpus: Option<Spanned<i64>>,
    memory: Option<Spanned<String>>,
    numa: Option<Spanned<i64>>,
    profile: Option<Spanned<Names>>,
    capabilities: Option<Spanned<Vec<Spanned<String>>>>,
    token: Option<Spanned<bool>>,
}

/// What can be set of a map.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct MapSettings {
    key_size: Option<Spanned<i64>>,
    value_size: Option<Spanned<i64>>,
    max_entries: Option<Spanned<i64>>,
}

impl MapSettings {
    /// What is set, by the names of the fields.
    fn set(&self) -> impl Iterator<Item = (&'static str, &Spanned<i64>)> {
        let all = [("key_size", &self.key_size), ("value_size", &self.value_size), ("max_entries", &self.max_entries)];
        all.into_iter().filter_map(|(field, number)| Some((field, number.as_ref()?)))
    }
}

impl WrittenShape {
    /// Finds the object and checks every value against the type of its variable. `Err` has the place in the file if it is not the
    /// table's.
    pub fn built(&self, all: Objects<'_>, profiles: &Profiles) -> Result<(usize, Shape), (Option<usize>, Mistake)> {
        let object = all.object(self.object.get_ref()).map_err(|error| (Some(self.object.span().start), error))?;
        let title = &all.0[object].name;
        if self.name.is_empty() || !self.name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            let message = format!("`{}` is not a valid shape name", self.name);
            return Err((None, Mistake::new(message).hint("use letters, digits, `-`, `_` and `.`")));
        }
        let WrittenShape { cpus, memory, numa, profile, .. } = self;
        let machine = WrittenMachine {
            cpus: cpus.as_ref(),
            memory: memory.as_ref(),
            numa: numa.as_ref(),
            profile: profile.as_ref(),
        };
        let mut shape = Shape::of_machine(self.name.clone(), machine.checked(profiles)?);
        let privileges = privileges::checked(self.capabilities.as_ref(), self.token.as_ref())?;
        if self.set.is_empty() && self.maps.is_empty() && shape.machine.is_empty() && privileges.is_none() {
            let message = format!("shape `{}` of `{title}` sets nothing", self.name);
            return Err((
                None,
                Mistake::new(message)
                    .hint("write `set.VARIABLE = VALUE`, `maps.MAP.max_entries = N`, `cpus = N`, `profile = NAME` or `capabilities = [NAME]`"),
            ));
        }
        let variables = Variables::of(&all.0[object]);
        for (name, value) in &self.set {
            let patch = variables.patch(name, value.get_ref());
            shape.setup.patches.push(patch.map_err(|mistake| (Some(value.span().start), mistake))?);
            shape.settings.push(format!("{name} = {}", value.get_ref()));
        }
        let maps = all.inventory(object).map(|all| &all.maps[..]).unwrap_or_default();
        for (name, settings) in &self.maps {
            let start = settings.set().next().map(|(_, number)| number.span().start);
            let at = |mistake| (start, mistake);
            if !maps.iter().any(|map| map.name == *name) {
                let known = maps.iter().map(|map| map.name.as_str());
                return Err(at(Mistake::new(format!("object `{title}` has no map `{name}`")).known(name, known)));
            }
            let mut definition = MapDefinition::default();
            for (field, number) in settings.set() {
                let Ok(value) = u32::try_from(*number.get_ref()) else {
                    let message = match field {
                        "max_entries" => format!("a map cannot have {} entries", number.get_ref()),
                        field => format!("`{field}` cannot be {}", number.get_ref()),
                    };
                    return Err((Some(number.span().start), Mistake::new(message)));
                };
                match field {
                    "key_size" => definition.key_size = Some(value),
                    "value_size" => definition.value_size = Some(value),
                    _ => definition.max_entries = Some(value),
                }
                shape.settings.push(format!("maps.{name}.{field} = {value}"));
            }
            if settings.set().next().is_none() {
                let mistake = Mistake::new(format!("map `{name}` gets no size"));
                return Err((None, mistake.hint(format!("write `maps.{name}.max_entries = N`"))));
            }
            shape.setup.loading.maps.push(MapLoading { map: name.clone(), definition, ..MapLoading::default() });
        }
        shape.settings.extend(privileges.iter().map(|one| format!("{PRIVILEGES}{}", one.setting())));
        shape.setup.loading.privileges = privileges;
        Ok((object, shape))
    }
}
/// The settings as the keys of a `[[shape]]` table of a suite, for an object of this name.
pub fn table(shape: &ShapeRecord, object: &str) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let mut table = format!("object = {}\nname = {}\n", quoted(object), quoted(&shape.name));
    for line in shape.machine.lines() {
        table += &format!("{line}\n");
    }
    for setting in shape.settings.iter().filter(|setting| !setting.starts_with(MACHINE_SETTING)) {
        let line = match setting.split_once(" = ") {
            // A map, or a variable: `maps.start.max_entries = 64`, `targ_failed = true`.
            Some((name, value)) if name.starts_with(PRIVILEGES) => {
                format!("{} = {value}\n", &name[PRIVILEGES.len()..])
            }
            Some((name, value)) => match name.strip_prefix("maps.").and_then(|map| map.rsplit_once('.')) {
                Some((map, field)) => format!("maps.{}.{field} = {value}\n", quoted(map)),
                None => format!("set.{} = {value}\n", quoted(name)),
            },
            None => continue,
        };
        table += &line;
    }
    table
}
