//! One server's binary log as commits that its reads show, in order.
//!
//! A [`Source`] follows a server and tells what was committed, transaction by transaction, from a [`Place`] on. It knows
//! tables and neither entities nor who the primary is: who uses it [takes](Take) from the rows what matters, and says when
//! another server is to be followed.
//!
//! - Nothing is told before the server shows it to whoever reads (the module `gate` says how that is known).
//! - What did not happen is not told: transactions that were rolled back, rows behind a savepoint, XA transactions until they
//!   are decided on. Where the log does not say enough, the tables concerned are said to be [rewritten](Event::Rewritten).
//! - Nothing is left out and nothing comes twice, over lost connections and restarts of the server, or it is an error.
//! - Memory is bounded whatever the size of a transaction: a large one is told in parts, once it can be seen.

mod acked;
mod done;
mod event;
mod gate;
mod link;
mod place;
mod queue;
mod source;
mod take;
mod transaction;

pub use acked::Acked;
pub use event::Event;
pub use place::{Place, Progress, resume};
pub use source::Source;
pub use take::{Take, Taken, Touched};
