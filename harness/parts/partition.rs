//! [`split`]: makes the parts of a matrix.

use std::cmp::Reverse;

/// Distributes things of these costs over `parts` parts of about equal cost; each part lists the places of its things in order.
/// The same costs always give the same parts. Of more parts than things the last, which have none, are left out.
pub fn split(costs: &[usize], parts: usize) -> Vec<Vec<usize>> {
    // With more parts than things there are parts without any, which need no room here.
    let parts = parts.min(costs.len());
    let mut split = vec![Vec::new(); parts];
    let mut loads = vec![0_usize; parts];
    let mut order: Vec<usize> = (0..costs.len()).collect();
    // The largest first, each to the part that has least to do so far: never more than a third above the best there is.
    order.sort_by_key(|&thing| (Reverse(costs[thing]), thing));
    for thing in order {
        let Some(part) = (0..parts).min_by_key(|&part| (loads[part], part)) else { break };
        loads[part] = loads[part].saturating_add(costs[thing]);
        split[part].push(thing);
    }
    split.iter_mut().for_each(|part| part.sort_unstable());
    split
}
