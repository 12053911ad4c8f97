//! What the harness makes of clients with one fault each, of programs that are no clients, and of the client without a fault: whole
//! certifications in memory, under paused time, at both levels. The table in `docs/` and the snapshots come from here.

mod certificates;
mod crowd;
mod degenerate;
#[path = "../it/forge.rs"]
mod forge;
mod kill_matrix;
mod looks;
mod right;
mod sdk;
#[path = "../mutants/tables.rs"]
mod tables;
