//! Renders a record: table, JSON, JUnit, and the live view of a run.
