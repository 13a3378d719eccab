//! [`ask`]: has a guest judge an object of which it is known what every kernel makes of it. Numbers that were drawn for this one time are in
//! its instructions and have to be in the verifier's logs, so that no answer can be an earlier one.

use std::time::{Duration, Instant};

use rustix::rand::{GetRandomFlags, getrandom};

use crate::protocol::attach::Reach;
use crate::protocol::{GuestMessage, HostMessage, ObjectSetup, ProgramOutcome, Stage};
use crate::vm::GuestLink;

/// `canary.bpf.c`.
const OBJECT: &[u8] = include_bytes!("canary.bpf.o");
/// The program that every kernel loads, and the number in it.
const SOUND: (&str, u32) = ("sound", 0x5eed_0001);
/// The program that every kernel refuses, and the number in it.
const REFUSED: (&str, u32) = ("refused", 0x5eed_0002);
/// Why it is refused.
const COMPLAINT: &str = "R5 !read_ok";
/// More messages are no answer.
const MOST_MESSAGES: usize = 64;

/// Asks a guest, once it is done with what it is still at work on if it `is_busy`.
///
/// # Errors
/// Why the guest is not to be trusted with any verdict since it was asked last, as a lowercase fragment.
pub(super) fn ask(
    machine: &mut dyn GuestLink,
    is_busy: bool,
    limit: Duration,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<(), String> {
    let (sound, refused) = (number()?, number()?);
    let request = HostMessage::Load {
        object: "canary".to_owned(),
        programs: [SOUND, REFUSED].map(|(name, _)| name.to_owned()).to_vec(),
        full_logs: true,
        visited: Vec::new(),
        setup: Box::new(ObjectSetup::default()),
        reach: Reach::Load,
        extern_users: std::collections::BTreeMap::new(),
        loader: None,
        compared: false,
        brief: true,
        together: false,
    };
    let bytes = object(sound, refused).ok_or("the object cannot be made")?;
    if is_busy {
        wait_for_end(machine, limit, stop)?;
    }
    machine.send(&request, &bytes, limit, stop).map_err(|loss| loss.to_string())?;
    let deadline = Instant::now() + limit;
    let mut answers = Vec::new();
    for _ in 0..MOST_MESSAGES {
        let left = deadline.saturating_duration_since(Instant::now());
        match machine.receive(left, stop).map_err(|loss| loss.to_string())? {
            (GuestMessage::ProgramDone(outcome), log) => {
                answers.push((outcome, String::from_utf8_lossy(&log).into_owned()));
            }
            (GuestMessage::LoadDone { .. }, _) => return judge(&answers, sound, refused),
            _ => {}
        }
    }
    Err("it does not come to an end".to_owned())
}

/// Waits until the guest is done with an object.
fn wait_for_end(machine: &mut dyn GuestLink, limit: Duration, stop: &(dyn Fn() -> bool + Sync)) -> Result<(), String> {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if let (GuestMessage::LoadDone { .. }, _) = machine.receive(left, stop).map_err(|loss| loss.to_string())? {
            return Ok(());
        }
    }
}

/// Whether these are the right answers.
fn judge(answers: &[(ProgramOutcome, String)], sound: u32, refused: u32) -> Result<(), String> {
    let [(first, first_log), (second, second_log)] = answers else {
        return Err(format!("it has {} answers to two questions", answers.len()));
    };
    let has = |log: &str, number: u32| log.split_whitespace().any(|word| word == number.to_string());
    let loads = first.program == SOUND.0 && first.stage == Stage::Loaded && has(first_log, sound);
    let refuses = second.program == REFUSED.0
        && second.stage == Stage::Load
        && second.errno == libc::EACCES
        && has(second_log, refused)
        && second_log.contains(COMPLAINT);
    match (loads, refuses) {
        (true, true) => Ok(()),
        (false, _) => Err("it does not load what every kernel loads".to_owned()),
        (true, false) => Err("it does not refuse what every kernel refuses".to_owned()),
    }
}

/// A number that is positive as the verifier prints it.
fn number() -> Result<u32, String> {
    let mut bytes = [0; 4];
    getrandom(&mut bytes, GetRandomFlags::empty()).map_err(|error| error.to_string())?;
    Ok(u32::from_le_bytes(bytes) >> 1)
}

/// The object with these numbers in it.
fn object(sound: u32, refused: u32) -> Option<Vec<u8>> {
    let mut bytes = OBJECT.to_vec();
    for ((_, old), new) in [(SOUND, sound), (REFUSED, refused)] {
        let old = old.to_le_bytes();
        let at = OBJECT.windows(old.len()).position(|window| window == old)?;
        bytes.get_mut(at..at + old.len())?.copy_from_slice(&new.to_le_bytes());
    }
    Some(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn answer(program: &str, stage: Stage, errno: i32, log: &str) -> (ProgramOutcome, String) {
        let outcome = ProgramOutcome {
            program: program.to_owned(),
            stage,
            errno,
            warnings: Vec::new(),
            left_out: Vec::new(),
            type_known: None,
            loaded: None,
            took_ms: 1,
        };
        (outcome, log.to_owned())
    }

    #[test]
    fn numbers_are_put_in_the_place_of_the_first_ones() {
        let bytes = object(7, 8).unwrap();
        let count = |bytes: &[u8], number: u32| {
            let instruction = [&[0xb7, 0, 0, 0][..], &number.to_le_bytes()].concat();
            bytes.windows(8).filter(|window| *window == instruction).count()
        };
        assert_eq!((count(&bytes, 7), count(&bytes, 8), count(&bytes, SOUND.1)), (1, 1, 0));
        assert_eq!((count(OBJECT, SOUND.1), count(OBJECT, REFUSED.1)), (1, 1));
        assert!(number().unwrap() <= i32::MAX as u32);
    }

    #[test]
    fn only_the_right_answers_to_this_question_count() {
        let loads = answer("sound", Stage::Loaded, 0, "0: (b7) r0 = 70        ; R0_w=70\nprocessed 4 insns\n");
        let refuses = answer("refused", Stage::Load, 13, "0: (b7) r0 = 80\n1: (bf) r0 = r5\nR5 !read_ok\n");
        assert_eq!(judge(&[loads.clone(), refuses.clone()], 70, 80), Ok(()));
        for (sound, refused) in [(71, 80), (70, 81), (0, 80), (7, 8)] {
            assert!(judge(&[loads.clone(), refuses.clone()], sound, refused).is_err());
        }
        assert!(judge(std::slice::from_ref(&loads), 70, 80).is_err());
        let other = answer("refused", Stage::Load, 1, &refuses.1);
        assert!(judge(&[loads.clone(), other], 70, 80).unwrap_err().contains("does not refuse"));
        let accepted = answer("refused", Stage::Loaded, 0, &refuses.1);
        assert!(judge(&[loads, accepted], 70, 80).is_err());
        let denied = answer("sound", Stage::Load, 1, "");
        assert!(judge(&[denied, refuses], 70, 80).unwrap_err().contains("does not load"));
    }
}
