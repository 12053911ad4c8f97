//! What the harness makes of servers with one fault each, and of peers that serve nothing: whole certifications in memory,
//! under paused time. The tables in `docs/` and the snapshots come from here.

mod bug_classes;
mod crowd;
mod degenerate_table;
mod falls;
mod kill_matrix;
mod right;
mod slots;
mod tables;
