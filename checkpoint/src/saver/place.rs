//! The folders that a saver works in, each with its list of checkpoints; what is kept of them, and what is
//! deleted.
//!
//! Within its folder a checkpoint is known by the last component of its prefix, so that a list can name
//! nothing outside, however the folder is reached.

use super::retention::Kept;
use super::save::Shared;
use crate::bundle::{index_identity, layout};
use crate::clock::seconds;
use crate::folder::{Folder, Writing};
use crate::journal::Written;
use crate::state::{self, CheckpointState, Note};
use crate::storage::Storage;
use crate::{Error, Result, listing, prefix};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tensor::text::escaped;

/// All folders of one saver.
#[derive(Debug)]
pub(super) struct Places {
    /// The creation time of the saver, in seconds since 1970.
    created: f64,
    places: Vec<Place>,
}

/// One folder of a saver.
#[derive(Debug)]
pub(super) struct Place {
    /// The path by which the caller named the folder last.
    pub(super) directory: PathBuf,
    /// The resolved path, by which the folder is recognized.
    canonical: PathBuf,
    /// Absent before the first save.
    pub(super) folder: Option<Arc<Folder>>,
    /// True if its state file was read.
    adopted: bool,
    /// Sorted from old to new.
    pub(super) kept: Vec<Kept>,
    /// Taken off the list but perhaps still on disk.
    doomed: Vec<String>,
    /// The checkpoints that a restore found damaged. They are never deleted.
    rejected: BTreeSet<String>,
    last_preserved: f64,
}

impl Places {
    pub(super) fn new(created: f64) -> Places {
        Places { created, places: Vec::new() }
    }

    /// Returns the place of an existing folder.
    pub(super) fn at(&mut self, storage: &dyn Storage, directory: &Path) -> Result<&mut Place> {
        let canonical = storage.canonical(directory).map_err(Error::io("find", directory))?;
        let known = self.places.iter().position(|place| place.canonical == canonical);
        let position = known.unwrap_or(self.places.len());
        if known.is_none() {
            self.places.push(Place {
                directory: PathBuf::new(),
                canonical,
                folder: None,
                adopted: false,
                kept: Vec::new(),
                doomed: Vec::new(),
                rejected: BTreeSet::new(),
                last_preserved: self.created,
            });
        }
        let place = &mut self.places[position];
        // The latest spelling counts: it is the one by which prefixes are returned to this caller.
        place.directory = directory.to_path_buf();
        Ok(place)
    }

    /// Prefixes of all that is managed, folder by folder.
    pub(super) fn prefixes(&self) -> Vec<PathBuf> {
        let of = |place: &Place| {
            place.kept.iter().map(|kept| place.directory.join(&kept.name)).collect::<Vec<_>>()
        };
        self.places.iter().flat_map(of).collect()
    }

    /// Manages these and nothing else.
    pub(super) fn give(&mut self, storage: &dyn Storage, found: Vec<(PathBuf, f64)>) {
        self.places.iter_mut().for_each(|place| place.kept.clear());
        for (prefix, time) in found {
            let name = prefix::name(&prefix).map(str::to_owned);
            let (Ok(name), Ok(place)) = (name, self.at(storage, prefix::directory(&prefix))) else {
                continue;
            };
            // A given list replaces that of the state file.
            place.adopted = true;
            place.kept.push(Kept { given: true, ..Kept::new(name, time) });
        }
    }

    /// Remembers what a restore rejected.
    pub(super) fn reject<'p>(&mut self, storage: &dyn Storage, prefixes: impl Iterator<Item = &'p PathBuf>) {
        for prefix in prefixes {
            if let (Ok(name), Ok(place)) = (prefix::name(prefix), self.at(storage, prefix::directory(prefix)))
            {
                place.rejected.insert(name.to_owned());
            }
        }
    }
}

impl Place {
    /// Forgets everything: the folder is another one now.
    pub(super) fn clear(&mut self) {
        self.folder = None;
        self.adopted = false;
        self.kept.clear();
        self.doomed.clear();
        self.rejected.clear();
    }

    /// Forgets a checkpoint that a new one replaces.
    pub(super) fn drop_name(&mut self, name: &str) {
        self.kept.retain(|kept| kept.name != name);
        self.doomed.retain(|doomed| doomed != name);
        self.rejected.remove(name);
    }

    /// Caps times that lie in the future (S-323).
    pub(super) fn cap_times(&mut self, now: f64) {
        let newest = self.kept.last().map_or(now, |kept| kept.time);
        if newest > now {
            log::warn!(
                "the clock went back by {:.0} s; times of checkpoints are capped (S-323)",
                newest - now
            );
            self.kept.iter_mut().for_each(|kept| kept.time = kept.time.min(now));
        }
        self.last_preserved = self.last_preserved.min(now);
    }

    /// Returns the name of a checkpoint in this folder, if it is in this folder.
    fn name_of<'p>(&self, storage: &dyn Storage, prefix: &'p Path) -> Option<&'p str> {
        let name = prefix::name(prefix).ok()?;
        prefix::same_checkpoint(storage, prefix, &self.directory.join(name)).then_some(name)
    }
}

fn capped(time: f64, now: f64) -> f64 {
    if time > now {
        log::warn!("a checkpoint's time lies {:.0} s ahead of the clock (S-323)", time - now);
    }
    time.min(now)
}

impl Shared {
    /// Takes over the checkpoints that the state file lists and that lie in its folder, so that limits
    /// outlive a restart, and finishes deletions that were interrupted.
    pub(super) fn adopt_once(&self, place: &mut Place, writing: &mut Writing<'_>) -> Result<()> {
        if std::mem::replace(&mut place.adopted, true) || !self.options.adopt {
            return Ok(());
        }
        let adopted = self.adopt(place, writing);
        // A state file that could not be read is tried again: otherwise the next save would replace it by a
        // list without its checkpoints.
        place.adopted = adopted.is_ok();
        adopted
    }

    fn adopt(&self, place: &mut Place, writing: &mut Writing<'_>) -> Result<()> {
        let storage = self.options.storage.as_ref();
        let state_file = Some(self.options.state_file.as_str());
        let Some(found) = state::get_checkpoint_state_with(storage, &place.directory, state_file)? else {
            return Ok(());
        };
        let now = seconds(self.options.clock.now());
        if let Some(time) = found.last_preserved_timestamp.filter(|time| time.is_finite()) {
            place.last_preserved = capped(time, now);
        }
        let mut kept = Vec::new();
        for (i, path) in found.all_model_checkpoint_paths.iter().enumerate() {
            let Some(name) = place.name_of(storage, Path::new(path)) else {
                log::info!("{} lies in another folder and is not managed", escaped(path));
                continue;
            };
            // Listed, but deleted since by someone else.
            let Some(modified) = state::modified(storage, Path::new(path))? else { continue };
            let time = found.all_model_checkpoint_timestamps.get(i).copied().filter(|time| time.is_finite());
            let time = capped(time.unwrap_or_else(|| seconds(modified)), now);
            let mut entry = Kept::new(name.to_owned(), time);
            if let Some(note) = found.notes.iter().find(|note| note.path == *path) {
                (entry.metric, entry.pinned) = (note.metric, note.pinned);
            }
            kept.push(entry);
        }
        let listed = |note: &&Note| found.all_model_checkpoint_paths.contains(&note.path);
        for note in found.notes.iter().filter(|note| note.doomed && !listed(note)) {
            let Some(name) = place.name_of(storage, Path::new(&note.path)) else { continue };
            let Some(written) = writing.journal().find(name) else { continue };
            // The index goes first, so the rest may be there without it.
            let left = match index_identity(storage, &place.directory.join(name)) {
                Ok(now) => now == written.save,
                Err(error) => matches!(error, Error::NotFound { .. }),
            };
            if left {
                place.doomed.push(name.to_owned());
            }
        }
        place.kept = kept;
        Ok(())
    }

    /// Removes checkpoints beyond the limits from the list, writes the list, and deletes the files that may be deleted.
    pub(super) fn let_go(&self, place: &mut Place, writing: &mut Writing<'_>) -> Result<()> {
        let unwanted = self.options.retention.prune(&mut place.kept, &mut place.last_preserved);
        for kept in unwanted {
            if self.may_delete(place, writing, &kept) {
                place.doomed.push(kept.name);
            } else {
                let prefix = place.directory.join(&kept.name);
                log::info!(
                    "{} is no longer listed, and its files are kept: no saver of this folder wrote them",
                    escaped(prefix.display())
                );
            }
        }
        self.carry_out(place, writing)
    }

    /// Returns true if a checkpoint that is no longer wanted is this saver's to delete: it is still what a saver wrote
    /// here, or the caller declared it.
    fn may_delete(&self, place: &Place, writing: &mut Writing<'_>, kept: &Kept) -> bool {
        if place.rejected.contains(&kept.name) {
            return false;
        }
        if kept.given || self.options.delete_adopted {
            return true;
        }
        let prefix = place.directory.join(&kept.name);
        let now = index_identity(self.options.storage.as_ref(), &prefix);
        writing.journal().find(&kept.name).is_some_and(|written| now.is_ok_and(|now| now == written.save))
    }

    /// Writes the list, and deletes what is doomed.
    fn carry_out(&self, place: &mut Place, writing: &mut Writing<'_>) -> Result<()> {
        // The list first: after a crash between the two, files that are no longer listed are left over, which
        // the notes name. The other way round the list would name checkpoints that are gone.
        self.write_state(place, writing)?;
        if !place.doomed.is_empty() {
            self.delete_doomed(place, writing);
            if self.options.durable {
                let directory = &place.directory;
                self.options.storage.sync_dir(directory).map_err(Error::io("sync", directory))?;
            }
            // Records their deletion: otherwise a copy that is put back would be deleted, too.
            self.write_state(place, writing)?;
        }
        Ok(())
    }

    /// Deletes the checkpoints that were taken off the list. A deletion that fails is logged and tried again later.
    fn delete_doomed(&self, place: &mut Place, writing: &mut Writing<'_>) {
        let storage = self.options.storage.as_ref();
        let directory = &place.directory;
        place.doomed.retain(|name| {
            let prefix = directory.join(name);
            let removed = match writing.journal().find(name) {
                Some(Written { num_shards, meta, .. }) => {
                    let meta = meta.as_ref().map(|meta| directory.join(meta));
                    state::remove_files(storage, &prefix, Some(*num_shards), meta.as_deref())
                }
                None => {
                    let layout = layout(storage, &prefix::index_path(&prefix)).ok();
                    let num_shards = layout.map(|layout| layout.num_shards);
                    let meta = prefix::meta_graph_path(&prefix, "meta");
                    state::remove_files(storage, &prefix, num_shards, Some(&meta))
                }
            };
            match removed {
                Ok(()) => {
                    writing.journal().forget(name);
                    false
                }
                Err(error) => {
                    let reason =
                        std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                    log::warn!("{error}: {}", escaped(reason));
                    true
                }
            }
        });
    }

    fn write_state(&self, place: &Place, writing: &mut Writing<'_>) -> Result<()> {
        let options = &self.options;
        // TensorFlow raises an error for a state file without a newest checkpoint, so an empty list is not
        // written.
        let Some(newest) = place.kept.last() else { return Ok(()) };
        let path = |name: &str| {
            let path = place.directory.join(name);
            path.to_str()
                .map(str::to_owned)
                .ok_or_else(|| Error::Invalid(format!("path {} is not UTF-8", path.display())))
        };
        // Only a saver that goes by times needs them in the file; plain ones write what TensorFlow's do.
        let timed = options.retention.keep_every.is_some();
        let times = place.kept.iter().map(|kept| kept.time).filter(|_| timed);
        let noted = place.kept.iter().filter(|kept| kept.metric.is_some() || kept.pinned);
        let noted = noted.map(|kept| {
            let Kept { metric, pinned, .. } = *kept;
            path(&kept.name).map(|path| Note { path, metric, pinned, doomed: false })
        });
        let doomed = place
            .doomed
            .iter()
            .map(|name| path(name).map(|path| Note { path, metric: None, pinned: false, doomed: true }));
        let content = CheckpointState {
            model_checkpoint_path: path(&newest.name)?,
            all_model_checkpoint_paths: place
                .kept
                .iter()
                .map(|kept| path(&kept.name))
                .collect::<Result<_>>()?,
            all_model_checkpoint_timestamps: times.collect(),
            last_preserved_timestamp: timed.then_some(place.last_preserved),
            notes: noted.chain(doomed).collect::<Result<_>>()?,
        };
        let (storage, name, mark) = (&options.storage, &options.state_file, writing.mark());
        state::write(storage, &place.directory, name, content, options.relative_paths, options.durable, mark)
    }

    pub(super) fn pin(&self, prefix: &Path, pinned: bool) -> Result<bool> {
        let mut places = self.places();
        let (storage, name) = (self.options.storage.as_ref(), prefix::name(prefix)?);
        let place = match places.at(storage, prefix::directory(prefix)) {
            Ok(place) => place,
            // A folder that does not exist has no managed checkpoint.
            Err(error) if error.is_damage() => return Ok(false),
            Err(error) => return Err(error),
        };
        let Some(kept) = place.kept.iter_mut().find(|kept| kept.name == name) else { return Ok(false) };
        kept.pinned = pinned;
        let folder = self.enter(place)?;
        let mut writing = folder.writing(&self.options.storage, self.options.durable)?;
        self.write_state(place, &mut writing)?;
        Ok(true)
    }

    /// Applies the limits because the caller requested it, whichever program wrote the listed checkpoints.
    pub(super) fn prune(&self, directory: &Path) -> Result<Vec<PathBuf>> {
        let mut places = self.places();
        let not_found = || Error::NotFound { path: directory.to_path_buf() };
        let storage = self.options.storage.as_ref();
        if !storage.metadata(directory).is_ok_and(|info| info.is_dir) {
            return Err(not_found());
        }
        let place = places.at(storage, directory)?;
        let folder = self.enter(place)?;
        let mut writing = folder.writing(&self.options.storage, self.options.durable)?;
        self.adopt_once(place, &mut writing)?;
        let listed = std::mem::take(&mut place.kept);
        let lists = if listed.is_empty() { self.series(directory)? } else { vec![listed] };
        let several = lists.len() > 1;
        let mut gone = Vec::new();
        for mut list in lists {
            gone.extend(self.options.retention.prune(&mut list, &mut place.last_preserved));
            place.kept.append(&mut list);
        }
        if place.kept.is_empty() && gone.is_empty() {
            return Err(not_found());
        }
        if several {
            place.kept.sort_by_key(|kept| listing::step_of(&kept.name));
        }
        // A damaged checkpoint may be all that is left of a run; it is the user's to delete.
        gone.retain(|kept| !place.rejected.contains(&kept.name));
        place.doomed.extend(gone.iter().map(|kept| kept.name.clone()));
        self.carry_out(place, &mut writing)?;
        let prefixes = gone.iter().map(|kept| directory.join(&kept.name));
        Ok(prefixes.filter(|prefix| !state::checkpoint_exists_with(storage, prefix)).collect())
    }

    /// Returns the numbered checkpoints of a folder that no state file lists: one list for each name before the
    /// number, since a limit for one run's checkpoints is none for another's.
    fn series(&self, directory: &Path) -> Result<Vec<Vec<Kept>>> {
        let storage = self.options.storage.as_ref();
        let mut series: BTreeMap<String, Vec<Kept>> = BTreeMap::new();
        for prefix in listing::checkpoints_by_step(storage, directory)? {
            let Some((name, (base, _))) =
                prefix::name(&prefix).ok().and_then(|name| Some((name, listing::numbered(name)?)))
            else {
                continue;
            };
            let Some(modified) = state::modified(storage, &prefix)? else { continue };
            series.entry(base.to_owned()).or_default().push(Kept::new(name.to_owned(), seconds(modified)));
        }
        Ok(series.into_values().collect())
    }
}
