//! [`by_kernel`]: what was found on several kernels, in words.

use crate::record::{LeastPrivileges, Need};

/// What was found on a kernel.
#[derive(Debug, Clone, Copy)]
pub struct OnKernel<'a> {
    /// Its name.
    pub kernel: &'a str,
    /// What is needed there; `None` if no one asked.
    pub least: Option<&'a LeastPrivileges>,
}

/// `needs CAP_SYS_ADMIN on 5.4, CAP_BPF + CAP_PERFMON on 5.10 to 7.3; a token is enough on 6.12 to 7.3`: of kernels where something was
/// found, in the order given.
pub fn by_kernel(all: &[OnKernel<'_>]) -> String {
    let is_known = |one: &OnKernel<'_>| one.least.is_some_and(|least| least.needs.is_known());
    if !all.iter().any(is_known) {
        let mut asked = all.iter().filter_map(|one| one.least).peekable();
        let words = if asked.peek().is_some() && asked.all(|least| least.needs == Need::FailsAsRoot) {
            "does not load as root"
        } else {
            "unknown"
        };
        return words.to_owned();
    }
    let needs = stretches(all, |one| one.least.map(|least| &least.needs).filter(|need| need.is_known()));
    let each: Vec<String> = needs.iter().map(|(need, kernels)| format!("{need} on {kernels}")).collect();
    let mut text = format!("needs {}", each.join(", "));
    for (enough, words) in [(true, "a token suffices"), (false, "a token does not suffice")] {
        let here = |one: &OnKernel<'_>| {
            let least = one.least.filter(|least| least.needs.is_known() && needs_some(least))?;
            (least.token == Some(enough)).then_some(())
        };
        let found: Vec<String> = stretches(all, here).into_iter().map(|((), kernels)| kernels).collect();
        if !found.is_empty() {
            text += &format!("; {words} on {}", found.join(", "));
        }
    }
    text
}

/// What any user can load needs no token.
fn needs_some(least: &LeastPrivileges) -> bool {
    !matches!(&least.needs, Need::Capabilities(names) if names.is_empty())
}

/// Neighbours of which the same is to be said, with their names: `5.10 to 6.1`.
fn stretches<'a, T: PartialEq>(
    all: &'a [OnKernel<'a>],
    what: impl Fn(&'a OnKernel<'a>) -> Option<T>,
) -> Vec<(T, String)> {
    let mut stretches: Vec<(T, &str, &str)> = Vec::new();
    let mut is_open = false;
    for one in all {
        let Some(said) = what(one) else {
            is_open = false;
            continue;
        };
        match stretches.last_mut().filter(|_| is_open) {
            Some((last, _, end)) if *last == said => *end = one.kernel,
            _ => stretches.push((said, one.kernel, one.kernel)),
        }
        is_open = true;
    }
    let named = |(said, first, last): (T, &str, &str)| {
        (said, if first == last { first.to_owned() } else { format!("{first} to {last}") })
    };
    stretches.into_iter().map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn least(names: &[&str], token: Option<bool>) -> LeastPrivileges {
        LeastPrivileges { needs: Need::Capabilities(names.iter().map(|name| (*name).to_owned()).collect()), token }
    }

    fn words(all: &[(&str, LeastPrivileges)]) -> String {
        let all: Vec<OnKernel<'_>> =
            all.iter().map(|(kernel, least)| OnKernel { kernel, least: Some(least) }).collect();
        by_kernel(&all)
    }

    #[test]
    fn neighbours_that_need_the_same_are_told_together() {
        let narrow = ["CAP_BPF", "CAP_PERFMON"];
        let all = [
            ("5.4", least(&["CAP_SYS_ADMIN"], None)),
            ("5.10", least(&narrow, None)),
            ("6.12", least(&narrow, Some(true))),
            ("7.3", least(&narrow, Some(true))),
        ];
        assert_eq!(
            words(&all),
            "needs CAP_SYS_ADMIN on 5.4, CAP_BPF + CAP_PERFMON on 5.10 to 7.3; a token suffices on 6.12 to 7.3"
        );
        assert_eq!(words(&all[1..2]), "needs CAP_BPF + CAP_PERFMON on 5.10");
        assert_eq!(words(&[("7.3", least(&[], Some(true)))]), "needs no capability on 7.3");
        assert_eq!(
            words(&[("7.3", least(&narrow, Some(false)))]),
            "needs CAP_BPF + CAP_PERFMON on 7.3; a token does not suffice on 7.3"
        );
    }

    #[test]
    fn what_is_not_known_is_not_told() {
        let fails = LeastPrivileges { needs: Need::FailsAsRoot, token: None };
        let unknown = LeastPrivileges { needs: Need::Unknown("the guest died".to_owned()), token: None };
        assert_eq!(words(&[("5.10", fails.clone())]), "does not load as root");
        assert_eq!(words(&[("5.10", fails.clone()), ("6.1", unknown.clone())]), "unknown");
        let bpf = || least(&["CAP_BPF"], None);
        let all = [("5.10", fails), ("6.1", bpf()), ("6.12", unknown), ("7.3", bpf())];
        assert_eq!(words(&all), "needs CAP_BPF on 6.1, CAP_BPF on 7.3");
    }
}
