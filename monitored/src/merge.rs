//! The merge of the requests of the user and all hooks into one run (S-127 to S-133).

use hooks::SessionRunArgs;
use session_core::{
    CancellationGuard, CancellationToken, Endpoint, Error, Graph, OpId, PositionIndex, Result, RunMetadata,
    RunOptions, Tensor,
};
use smallvec::SmallVec;
use std::collections::HashMap;

/// A run as the user requests it, resolved.
pub(crate) struct Request<'a> {
    pub(crate) fetches: &'a [Endpoint],
    pub(crate) targets: &'a [OpId],
    pub(crate) feeds: &'a [(Endpoint, Tensor)],
    pub(crate) options: Option<&'a RunOptions>,
    pub(crate) metadata: Option<&'a mut RunMetadata>,
}

/// The merged requests of a run. Reused from step to step, so that a steady step allocates nothing here.
#[derive(Default)]
pub(crate) struct Merge {
    /// The user's fetches, then those of hooks that are not among them.
    pub(crate) fetches: Vec<Endpoint>,
    fetch_places: PositionIndex<Endpoint>,
    pub(crate) targets: Vec<OpId>,
    target_places: PositionIndex<OpId>,
    /// The indices of the hooks' fetches in `fetches`; those of hook i end at `ends[i]`.
    positions: Vec<u32>,
    ends: Vec<u32>,
    /// The feeds of hooks, each with its hook.
    hook_feeds: Vec<(usize, Endpoint, Tensor)>,
    /// For each fed output, the hook that feeds it, or `None` for the user. Only used if hooks feed.
    fed_by: HashMap<Endpoint, Option<usize>>,
    /// The feeds of the user and of hooks. Only used if hooks feed.
    feeds: Vec<(Endpoint, Tensor)>,
    /// All options merged, if there were any.
    options: Option<RunOptions>,
    /// The cancellation tokens of others than the session.
    tokens: SmallVec<[CancellationToken; 2]>,
    pub(crate) wants_metadata: bool,
    /// For each hook, the requests that were last found to be allowed.
    allowed: Vec<Allowed>,
}

#[derive(Default)]
struct Allowed {
    fetches: SmallVec<[Endpoint; 4]>,
    targets: SmallVec<[OpId; 4]>,
}

impl Merge {
    pub(crate) fn new(hooks: usize) -> Merge {
        Merge { allowed: std::iter::repeat_with(Allowed::default).take(hooks).collect(), ..Merge::default() }
    }

    /// Starts a run with the user's requests.
    #[inline]
    pub(crate) fn begin(&mut self, request: &Request<'_>) {
        self.fetches.clear();
        self.fetches.extend_from_slice(request.fetches);
        self.fetch_places.clear();
        self.targets.clear();
        self.target_places.clear();
        self.targets.extend_from_slice(request.targets);
        self.positions.clear();
        self.ends.clear();
        self.hook_feeds.clear();
        self.feeds.clear();
        self.tokens.clear();
        // Cloned, because the run may change them and the caller's must remain.
        self.options = request.options.cloned();
        // Tokens are taken out and linked later: merging options would keep only one of them.
        if let Some(token) = self.options.as_mut().and_then(|options| options.cancellation.take()) {
            self.tokens.push(token);
        }
        self.wants_metadata = request.metadata.is_some();
    }

    /// Adds the requests of a hook.
    #[inline]
    pub(crate) fn add(&mut self, graph: &Graph, hook: usize, args: Option<SessionRunArgs>) -> Result<()> {
        if let Some(args) = args {
            self.add_args(graph, hook, &args)?;
        }
        // For every hook, also one without requests, so that `positions` can index by hook.
        self.ends.push(self.positions.len() as u32);
        Ok(())
    }

    fn add_args(&mut self, graph: &Graph, hook: usize, args: &SessionRunArgs) -> Result<()> {
        args.check(graph.id())?;
        self.check_fetchable(graph, hook, args)?;
        for &endpoint in args.fetches() {
            let known = self.fetch_places.find(endpoint, self.fetches.iter().copied());
            let position = known.unwrap_or_else(|| {
                self.fetches.push(endpoint);
                self.fetches.len() - 1
            });
            self.positions.push(position as u32);
        }
        for &target in args.targets() {
            if self.target_places.find(target, self.targets.iter().copied()).is_none() {
                self.targets.push(target);
            }
        }
        for (endpoint, value) in args.feeds() {
            self.check_feedable(graph, *endpoint)?;
            self.hook_feeds.push((hook, *endpoint, value.clone()));
        }
        if let Some(options) = args.run_options() {
            self.add_options(options);
        }
        self.wants_metadata |= args.wants_metadata();
        Ok(())
    }

    /// Checks in detail only if a hook's requests differ from its last ones.
    #[inline]
    fn check_fetchable(&mut self, graph: &Graph, hook: usize, args: &SessionRunArgs) -> Result<()> {
        let allowed = &mut self.allowed[hook];
        // A hook's requests are nearly always those of the step before, so a comparison of numbers replaces
        // look-ups under the graph's lock.
        if same(&allowed.fetches, args.fetches()) && same(&allowed.targets, args.targets()) {
            return Ok(());
        }
        let operations =
            args.fetches().iter().map(|endpoint| endpoint.op).chain(args.targets().iter().copied());
        for id in operations {
            if let Some(operation) = graph.operation_by_id(id)
                && !graph.is_fetchable(&operation)
            {
                let text = format!("operation '{}' has been marked as not fetchable", operation.name());
                return Err(Error::value(text));
            }
        }
        allowed.fetches = args.fetches().into();
        allowed.targets = args.targets().into();
        Ok(())
    }

    fn check_feedable(&self, graph: &Graph, endpoint: Endpoint) -> Result<()> {
        let Some(operation) = graph.operation_by_id(endpoint.op) else { return Ok(()) };
        let output = operation.output(endpoint.index as usize);
        if graph.is_feedable(&output) {
            return Ok(());
        }
        Err(Error::value(format!("tensor '{}' may not be fed", output.name())))
    }

    /// The options of the caller and of the hooks stay unchanged (unlike S-132).
    fn add_options(&mut self, options: &RunOptions) {
        let merged = self.options.get_or_insert_with(RunOptions::default);
        merged.merge(options);
        if let Some(token) = merged.cancellation.take() {
            self.tokens.push(token);
        }
    }

    /// Merges the feeds of hooks with the user's.
    ///
    /// # Errors
    /// An output that is fed twice, with the names of both (S-128). Outputs are compared by identity, whatever they were given
    /// as (unlike S-129).
    #[inline]
    pub(crate) fn join_feeds(
        &mut self,
        graph: &Graph,
        names: &[String],
        user: &[(Endpoint, Tensor)],
    ) -> Result<()> {
        if self.hook_feeds.is_empty() { Ok(()) } else { self.join_hook_feeds(graph, names, user) }
    }

    fn join_hook_feeds(
        &mut self,
        graph: &Graph,
        names: &[String],
        user: &[(Endpoint, Tensor)],
    ) -> Result<()> {
        self.fed_by.clear();
        self.fed_by.extend(user.iter().map(|(endpoint, _)| (*endpoint, None)));
        for (hook, endpoint, _) in &self.hook_feeds {
            let name = &names[*hook];
            // By output, so a feed by name and one by handle are found to be the same.
            let who = match self.fed_by.insert(*endpoint, Some(*hook)) {
                None => continue,
                Some(Some(other)) => {
                    format!("Same tensor is fed by two hooks, '{}' and '{name}'", names[other])
                }
                Some(None) => format!("Same tensor is fed by a SessionRunHook and user: hook '{name}'"),
            };
            return Err(conflict(graph, &who, *endpoint));
        }
        self.feeds.extend_from_slice(user);
        self.feeds.extend(self.hook_feeds.iter().map(|(_, endpoint, value)| (*endpoint, value.clone())));
        Ok(())
    }

    /// Returns all feeds; the user's own list if no hook feeds anything.
    #[inline]
    pub(crate) fn feeds_joined<'a>(&'a self, user: &'a [(Endpoint, Tensor)]) -> &'a [(Endpoint, Tensor)] {
        if self.hook_feeds.is_empty() { user } else { &self.feeds }
    }

    /// Returns a guard that lets the session's and everybody's own tokens cancel the run while it exists.
    #[inline]
    pub(crate) fn join_cancellation(&mut self, session: &RunOptions) -> Links {
        // Without options of its own the run uses those of the session, which has its token already.
        let Some(options) = &mut self.options else { return Links::new() };
        let (token, links) = link(session.cancellation.iter().chain(&self.tokens));
        options.cancellation = token;
        links
    }

    /// Returns the options of the run.
    #[inline]
    pub(crate) fn options_used<'a>(&'a self, session: &'a RunOptions) -> &'a RunOptions {
        self.options.as_ref().unwrap_or(session)
    }

    /// Returns the indices of a hook's results.
    #[inline]
    pub(crate) fn positions(&self, hook: usize) -> &[u32] {
        let begin = if hook == 0 { 0 } else { self.ends[hook - 1] };
        &self.positions[begin as usize..self.ends[hook] as usize]
    }
}

/// Compares element by element, because these lists hold only a few numbers.
#[inline]
fn same<T: PartialEq>(left: &[T], right: &[T]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(left, right)| left == right)
}

/// Keeps tokens linked during a run.
pub(crate) type Links = SmallVec<[CancellationGuard; 2]>;

/// Returns a token that is cancelled when one of these is; the token itself if there is only one.
fn link<'a>(tokens: impl Iterator<Item = &'a CancellationToken>) -> (Option<CancellationToken>, Links) {
    let tokens: SmallVec<[&CancellationToken; 4]> = tokens.collect();
    // A single token needs no link, which would allocate in every step.
    if tokens.len() < 2 {
        return (tokens.first().map(|&token| token.clone()), Links::default());
    }
    let joined = CancellationToken::new();
    let links = tokens
        .iter()
        .map(|token| {
            let joined = joined.clone();
            token.on_cancel(move || joined.cancel())
        })
        .collect();
    (Some(joined), links)
}

#[cold]
fn conflict(graph: &Graph, who: &str, endpoint: Endpoint) -> Error {
    let name = graph
        .operation_by_id(endpoint.op)
        .map_or_else(|| format!("#{}", endpoint.op), |operation| operation.name().to_owned());
    Error::runtime(format!("{who}. Conflict(s): {name}:{}", endpoint.index))
}
