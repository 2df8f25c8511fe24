//! Runs of a session that a cancellation can end.

use session_core::{
    CancellationToken, Endpoint, FeedList, GraphMember, OpId, Operation, Output, Result, RunOptions, Session,
    Step, Tensor,
};

/// Runs operations for their side effects.
pub(crate) fn run_operations(
    session: &dyn Session,
    operations: &[Operation],
    feeds: &[(Output, Tensor)],
    options: &RunOptions,
    cancellation: &CancellationToken,
) -> Result<()> {
    // A step holds only numbers of operations, which would mean others in another graph.
    operations.check_belongs_to(session.graph())?;
    let targets: Vec<OpId> = operations.iter().map(Operation::id).collect();
    execute(session, &[], &targets, feeds, options, cancellation).map(drop)
}

/// Returns the value of an output.
pub(crate) fn fetch(
    session: &dyn Session,
    output: &Output,
    cancellation: &CancellationToken,
) -> Result<Option<Tensor>> {
    output.check_belongs_to(session.graph())?;
    let values = execute(session, &[output.endpoint()], &[], &[], &RunOptions::default(), cancellation)?;
    Ok(values.into_iter().next())
}

fn execute(
    session: &dyn Session,
    fetches: &[Endpoint],
    targets: &[OpId],
    feeds: &[(Output, Tensor)],
    options: &RunOptions,
    cancellation: &CancellationToken,
) -> Result<Vec<Tensor>> {
    cancellation.check()?;
    let mut fed = FeedList::new(session.graph());
    feeds.iter().try_for_each(|(output, value)| fed.push(output, value.clone()))?;
    let mut options = options.clone();
    // The token of the caller replaces one in the options.
    options.cancellation = Some(cancellation.clone());
    session.execute(&Step { fetches, targets, feeds: fed.feeds(), options: &options }, None)
}
