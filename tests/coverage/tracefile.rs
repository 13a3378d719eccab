//! [`Tracefile`]: a strict reader of LCOV tracefiles, which accepts nothing that `lcov` 2 complains of.

use std::collections::BTreeMap;

/// The sums of a tracefile.
#[derive(Debug, Default)]
pub struct Tracefile {
    /// Lines that count.
    pub lines: usize,
    /// Those with a count.
    pub lines_hit: usize,
    /// Ways of branches.
    pub branches: usize,
    /// Those with a count.
    pub branches_hit: usize,
}

impl Tracefile {
    /// Reads a tracefile whose test is called `name`. Everything has to be in its order, no line and no way listed twice, a way that was
    /// taken on a line that was come to, and every sum right.
    #[track_caller]
    pub fn read(text: &str, name: &str) -> Tracefile {
        let mut all = Tracefile::default();
        let mut files = Vec::new();
        for record in text.split_terminator("end_of_record\n") {
            let mut lines = record.lines().peekable();
            assert_eq!(lines.next(), Some(&*format!("TN:{name}")));
            let file = lines.next().and_then(|line| line.strip_prefix("SF:")).unwrap();
            assert!(!file.is_empty() && !files.contains(&file), "{file}");
            files.push(file);
            let mut numbers = |key: &str, count: usize| -> Option<Vec<usize>> {
                let line = lines.next_if(|line| line.starts_with(key))?;
                let numbers: Vec<usize> = line[key.len()..].split(',').map(|number| number.parse().unwrap()).collect();
                assert_eq!(numbers.len(), count, "{line}");
                Some(numbers)
            };
            let mut branches = BTreeMap::new();
            while let Some(entry) = numbers("BRDA:", 4) {
                assert!(
                    entry[2] < 2 && branches.insert((entry[0], entry[1], entry[2]), entry[3]).is_none(),
                    "{entry:?}"
                );
            }
            let taken = branches.values().filter(|&&count| count > 0).count();
            assert_eq!(numbers("BRF:", 1).unwrap(), [branches.len()]);
            assert_eq!(numbers("BRH:", 1).unwrap(), [taken]);
            let mut counts = BTreeMap::new();
            while let Some(entry) = numbers("DA:", 2) {
                assert!(entry[0] > 0 && counts.keys().next_back() < Some(&entry[0]), "{entry:?}");
                counts.insert(entry[0], entry[1]);
            }
            let hit = counts.values().filter(|&&count| count > 0).count();
            assert_eq!(numbers("LF:", 1).unwrap(), [counts.len()]);
            assert_eq!(numbers("LH:", 1).unwrap(), [hit]);
            assert_eq!(lines.next(), None, "{file}");
            for ((line, block, way), count) in branches.iter() {
                assert!(branches.contains_key(&(*line, *block, 1 - way)), "{file}:{line} has one way only");
                assert!(
                    *count <= counts[line],
                    "{file}:{line}: taken {count} times, and come to {} times",
                    counts[line]
                );
            }
            all.lines += counts.len();
            all.lines_hit += hit;
            all.branches += branches.len();
            all.branches_hit += taken;
        }
        assert!(text.ends_with("end_of_record\n") && !files.is_empty());
        all
    }
}
