//! scratch
use std::rc::Rc;
use std::time::Instant;
use lastword_check::*;
fn main() {
    let n = Faults::NONE;
    let max = std::env::args().nth(1).map_or(6_000_000, |a| a.parse().unwrap());
    let d = Setup::default();
    let lite = Faults{ timers:false, ..Faults::ALL};
    for setup in [
        Setup{faults:n, ticks:true, probes:1, ..d.clone()},
        Setup{faults:n, frames:3,flushes:2,finals:2,partials:2, ..d.clone()},
        Setup{faults:n, frames:3,flushes:2,finals:2,partials:2, awaits_flush:true, ticks: true, ..d.clone()},
        Setup{faults:n, frames:3,flushes:1,finals:2,partials:2, up:1,down:1,queued:1, ..d.clone()},
        Setup{faults:Faults::ALL, frames:1,flushes:0,finals:1,partials:0, ..d.clone()},
        Setup{faults:Faults::ALL, frames:1,flushes:1,finals:0,partials:0, up:1, down:1, ..d.clone()},
        Setup{faults:Faults::ALL, frames:1,flushes:0,finals:1,partials:1, up:1, down:1, queued:1, keepalives: false, ..d.clone()},
        Setup{faults:lite, frames:1,flushes:1,finals:1,partials:1, up:1, down:1, queued:1, keepalives: false, ..d.clone()},
        Setup{faults:Faults{timers:true,..n}, frames:1,flushes:1,finals:1,partials:0, up:1, down:1, queued:1, probes:1, ..d.clone()},
    ] {
        println!("{setup:?}");
        let mut pair = Pair::new(&setup, Rc::new(Honest));
        let t = Instant::now();
        let found = explore(&mut pair, max);
        let dt = t.elapsed();
        println!("{} states {} edges {:?} sides {:?} complete {}", found.states.len(), found.edges(), dt, pair.sides(), found.complete);
        if !found.complete { continue }
        let ces = found.counterexamples(&mut pair);
        println!("  analysis {:?}", t.elapsed());
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
