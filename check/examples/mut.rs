//! scratch
use lastword_check::*;
fn main() {
    let only = std::env::args().nth(1);
    for m in mutants::MUTANTS {
        if only.as_ref().is_some_and(|o| o != m.name) { continue }
        let setup = m.setup();
        let mut pair = Pair::new(&setup, m.twist());
        let found = explore(&mut pair, 5_000_000);
        let ces = found.counterexamples(&mut pair);
        println!("{} {}: {:?}  {} states", m.name, if ces.is_empty() && !m.violates.is_empty() {"MISSED"} else {""}, ces.iter().map(|c| (c.property.as_str(), c.path.len(), c.cycle.len())).collect::<Vec<_>>(), found.states.len());
        if only.is_some() {
        for ce in ces {
            println!("{:?} {}", ce.property, ce.path.len());
            let mut state = pair.start();
            for act in &ce.path {
                let mut steps = Vec::new();
                pair.steps(state, &mut steps);
                let step = steps.iter().find(|s| s.act == *act).unwrap();
                println!("   {}", act.told(|id| pair.wire(id).to_string()));
                for n in pair.notes(state, *act) { println!("        !! {:?} {}", n.property, n.note); }
                state = step.next;
            }
            println!("   => {}", pair.told(state));
            for act in &ce.cycle { println!("   o {}", act.told(|id| pair.wire(id).to_string())); }
        }
        }
    }
}
