//! [`ignore`]: what the object says of the pinning of its maps does not count.

use super::btf::{BtfEditor, DATASEC, STRUCT, VAR, WORDS};

/// Makes `pinning` 0 in the definitions of these maps, which alone get other definitions. libbpf refuses an object for a value that
/// only its own loader knows.
pub(super) fn ignore(btf: &mut BtfEditor, maps: &[&str]) {
    let sections = btf.of_kind(DATASEC).into_iter().filter(|id| btf.name(*id) == b".maps");
    let listed = sections.filter_map(|id| btf.get(id)).flat_map(|words| words[WORDS..].chunks_exact(3));
    let variables: Vec<u32> = listed.map(|entry| entry[0]).collect();
    for variable in variables {
        let is_wanted = maps.iter().any(|map| map.as_bytes() == btf.name(variable));
        if btf.kind(variable) != Some(VAR) || !is_wanted {
            continue;
        }
        let definition = btf.get(variable).and_then(|words| btf.resolve(words[2]));
        let Some(words) = definition.filter(|id| btf.kind(*id) == Some(STRUCT)).and_then(|id| btf.get(id)) else {
            continue;
        };
        let mut words = words.clone();
        let is_pinning = |member: &[u32]| btf.text(member[0]) == b"pinning";
        let Some(place) = words[WORDS..].chunks_exact(3).position(is_pinning) else { continue };
        words[WORDS + 3 * place + 1] = btf.number(0);
        let definition = btf.add(words);
        if let Some(words) = btf.get_mut(variable) {
            words[2] = definition;
        }
    }
}
