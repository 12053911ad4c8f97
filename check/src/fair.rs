//! Fair cycles: a strongly connected part in which every owner that can act again and again does (Tarjan, with Streett pruning). Owns
//! the search for one. It must not know what a state means.

use rustc_hash::FxHashMap;

use crate::explore::{Graph, Owner};

/// A cycle as states, each with the place of the step that is taken there. It takes a step of every owner that takes any in its
/// part of the graph. `None`: every fair course of cooperative steps ends.
pub(crate) fn cycle(graph: &Graph) -> Option<Vec<(u32, usize)>> {
    // States with the same number here are searched together; 0 is out.
    let mut group = vec![1_u32; graph.len() as usize];
    for (state, group) in group.iter_mut().enumerate() {
        if graph.is_end[state] {
            *group = 0;
        }
    }
    let mut groups = 1;
    let mut open: Vec<Vec<u32>> = vec![(0..graph.len()).filter(|state| group[*state as usize] == 1).collect()];
    let mut best: Option<Vec<u32>> = None;
    while let Some(members) = open.pop() {
        for part in components(graph, &members, &group) {
            groups += 1;
            for state in &part {
                group[*state as usize] = groups;
            }
            let (enabled, taken) = owners(graph, &part, &group);
            let unfair = enabled & !taken & !(1 << Owner::NOBODY.0);
            if taken == 0 {
                continue;
            }
            if unfair == 0 {
                let nearest = |part: &[u32]| part.iter().min().copied();
                if best.as_ref().is_none_or(|best| nearest(&part) < nearest(best)) {
                    best = Some(part);
                }
                continue;
            }
            // An owner who is always kept waiting: a fair course leaves the states in which it could act, or the part.
            let can_act = |state: &u32| graph.cooperative(*state).any(|(_, _, owner)| unfair & 1 << owner != 0);
            let (out, rest): (Vec<u32>, Vec<u32>) = part.into_iter().partition(can_act);
            for state in out {
                group[state as usize] = 0;
            }
            open.push(rest);
        }
    }
    best.map(|part| walk(graph, &part, &group))
}

/// Which owners can act in the part, and which act within it.
fn owners(graph: &Graph, part: &[u32], group: &[u32]) -> (u8, u8) {
    let own = group[part[0] as usize];
    let (mut enabled, mut taken) = (0, 0);
    for state in part {
        for (_, target, owner) in graph.cooperative(*state) {
            enabled |= 1 << owner;
            if group[target as usize] == own {
                taken |= 1 << owner;
            }
        }
    }
    (enabled, taken)
}

/// From the nearest state of the part round to it again, with a step of every owner that acts within the part.
fn walk(graph: &Graph, part: &[u32], group: &[u32]) -> Vec<(u32, usize)> {
    let own = group[part[0] as usize];
    let home = part.iter().min().copied().unwrap_or(0);
    let (_, mut wanted) = owners(graph, part, group);
    let mut way = Vec::new();
    let mut at = home;
    loop {
        // The shortest way to a step that is still wanted, or home.
        let mut came_from = std::collections::BTreeMap::new();
        let mut queue = std::collections::VecDeque::from([at]);
        let mut goal = None;
        'search: while let Some(state) = queue.pop_front() {
            for (edge, target, owner) in
                graph.cooperative(state).filter(|(_, target, _)| group[*target as usize] == own)
            {
                if wanted & 1 << owner != 0 || (wanted == 0 && target == home) {
                    goal = Some((state, edge, target, owner));
                    break 'search;
                }
                if target != at && !came_from.contains_key(&target) {
                    came_from.insert(target, (state, edge));
                    queue.push_back(target);
                }
            }
        }
        let Some((state, edge, target, owner)) = goal else { return way };
        let mut leg = vec![(state, edge)];
        let mut back = state;
        while let Some((from, edge)) = came_from.get(&back).filter(|_| back != at) {
            leg.push((*from, *edge));
            back = *from;
        }
        way.extend(leg.into_iter().rev());
        if wanted == 0 {
            return way;
        }
        wanted &= !(1 << owner);
        at = target;
        if wanted == 0 && at == home {
            return way;
        }
    }
}

/// The strongly connected parts of a group (Tarjan, without recursion).
fn components(graph: &Graph, members: &[u32], group: &[u32]) -> Vec<Vec<u32>> {
    const NEW: u32 = u32::MAX;
    let Some(own) = members.first().map(|state| group[*state as usize]) else { return Vec::new() };
    // A large group is looked up by number, a small one by a map, so that many small ones cost no more than one large one.
    let dense = members.len() > group.len() / 4;
    let place: FxHashMap<u32, u32> =
        if dense { FxHashMap::default() } else { members.iter().zip(0..).map(|(state, at)| (*state, at)).collect() };
    let at = |state: u32| if dense { state as usize } else { place[&state] as usize };
    let places = if dense { group.len() } else { members.len() };
    let mut index = vec![NEW; places];
    let mut low = vec![0_u32; places];
    let mut on_stack = vec![false; places];
    let mut next = 0;
    let mut stack = Vec::new();
    let mut parts = Vec::new();
    for root in members {
        if index[at(*root)] != NEW {
            continue;
        }
        let mut calls: Vec<(u32, usize)> = vec![(*root, 0)];
        while let Some((state, skip)) = calls.pop() {
            let here = at(state);
            if skip == 0 {
                (index[here], low[here]) = (next, next);
                next += 1;
                stack.push(state);
                on_stack[here] = true;
            }
            let mut deeper = false;
            let mut edges = 0;
            for (_, target, _) in graph.cooperative(state) {
                edges += 1;
                if group[target as usize] != own {
                    continue;
                }
                let there = at(target);
                if index[there] == NEW {
                    // Comes back to the same step, which then finds `low` of the target.
                    calls.push((state, edges));
                    calls.push((target, 0));
                    deeper = true;
                    break;
                }
                if on_stack[there] {
                    low[here] = low[here].min(low[there]);
                }
            }
            if deeper {
                continue;
            }
            if low[here] == index[here] {
                let mut part = Vec::new();
                while let Some(member) = stack.pop() {
                    on_stack[at(member)] = false;
                    part.push(member);
                    if member == state {
                        break;
                    }
                }
                parts.push(part);
            }
        }
    }
    parts
}
