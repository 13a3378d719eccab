use super::*;

/// What a kernel asks of a program: one of the capabilities of each group.
type Rule<'a> = &'a [&'a [&'a str]];

const XDP: Rule<'_> = &[&["CAP_BPF", "CAP_SYS_ADMIN"], &["CAP_NET_ADMIN"]];
const PROBE: Rule<'_> = &[&["CAP_BPF", "CAP_SYS_ADMIN"], &["CAP_PERFMON", "CAP_SYS_ADMIN"]];
const OLD: Rule<'_> = &[&["CAP_SYS_ADMIN"]];
const NEVER: Rule<'_> = &[&["none"]];
const FREE: Rule<'_> = &[];

/// Searches on a kernel with these rules and without these capabilities; also returns how many sets were tried.
fn search(rules: &[Rule<'_>], lacks: &[&str], tokens: bool) -> (Found, usize) {
    let mut count = 0;
    let mut oracle = |privileges: &LoadingPrivileges| {
        count += 1;
        let everything = || {
            let loaded = rules.iter().map(|rule| *rule != NEVER).collect::<Vec<_>>();
            Trial { whole: loaded.iter().all(|loaded| *loaded), loaded }
        };
        Ok::<_, ()>(match privileges {
            LoadingPrivileges::Token if !tokens => Err((Vec::new(), "no tokens".to_owned())),
            LoadingPrivileges::Token | LoadingPrivileges::AllCapabilities => Ok(everything()),
            LoadingPrivileges::Capabilities(names) => {
                let missing: Vec<String> =
                    names.iter().filter(|name| lacks.contains(&name.as_str())).cloned().collect();
                match missing.is_empty() {
                    false => Err((missing, "this kernel lacks some".to_owned())),
                    true => {
                        let has = |group: &&[&str]| group.iter().any(|one| names.iter().any(|name| name == one));
                        let loaded: Vec<bool> = rules.iter().map(|rule| rule.iter().all(has)).collect();
                        Ok(Trial { whole: loaded.iter().all(|loaded| *loaded), loaded })
                    }
                }
            }
        })
    };
    let found = least(rules.len(), &mut oracle).expect("the oracle never fails");
    (found, count)
}

fn needs(found: &Found) -> Vec<String> {
    found.programs.iter().chain([&found.object]).map(|least| least.needs.to_string()).collect()
}

#[test]
fn each_program_needs_what_it_fails_without() {
    let (found, count) = search(&[XDP, PROBE, FREE], &[], true);
    assert_eq!(
        needs(&found),
        ["CAP_BPF + CAP_NET_ADMIN", "CAP_BPF + CAP_PERFMON", "no capability", "CAP_BPF + CAP_PERFMON + CAP_NET_ADMIN"]
    );
    assert!(found.programs.iter().all(|least| least.token == Some(true)) && found.object.token == Some(true));
    assert!(count <= 10, "{count} sets");
}

#[test]
fn older_kernels_have_no_narrow_capabilities() {
    let (found, _) = search(&[OLD, &[&["CAP_SYS_ADMIN"], &["CAP_NET_ADMIN"]]], &["CAP_BPF", "CAP_PERFMON"], false);
    assert_eq!(needs(&found), ["CAP_SYS_ADMIN", "CAP_NET_ADMIN + CAP_SYS_ADMIN", "CAP_NET_ADMIN + CAP_SYS_ADMIN"]);
    assert_eq!((found.object.token, found.no_token.as_deref()), (None, Some("no tokens")));
}

#[test]
fn a_narrow_capability_is_taken_where_a_wide_one_stands_in() {
    let either: Rule<'_> = &[&["CAP_BPF", "CAP_SYS_ADMIN"], &["CAP_SYS_ADMIN", "CAP_SYSLOG"]];
    let (found, _) = search(&[either], &[], true);
    // What is left over by taking away one by one is enough, and nothing of it can go.
    assert_eq!(needs(&found)[0], "CAP_BPF + CAP_SYSLOG");
}

#[test]
fn root_alone_is_told_apart_from_all_capabilities() {
    let (found, _) = search(&[NEVER], &[], true);
    assert_eq!(needs(&found), ["root", "root"]);
    let (found, _) = search(&[&[&["CAP_MKNOD"]]], &[], true);
    assert_eq!(needs(&found)[0], "all capabilities");
}
