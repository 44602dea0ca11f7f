//! Files as the store uses them: replaced as a whole or not at all, and on the disk before anything relies on them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// What is done to the disk, one by one, so that a test can end the world before each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Write,
    Sync,
    Rename,
    Remove,
    SyncFolder,
}

/// A folder of documents. Paths are relative to it.
#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
    #[cfg(test)]
    pub(super) fault: super::tests::Fault,
}

/// How a change of a file failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// It was not done.
    Undone(io::Error),
    /// It may be done: only opening the store again tells.
    Unknown(io::Error),
}

impl Failure {
    pub(super) fn into_error(self) -> io::Error {
        let (Self::Undone(error) | Self::Unknown(error)) = self;
        error
    }
}

/// The folder of a document.
pub(super) fn folder_of(path: &str) -> &Path {
    Path::new(path).parent().unwrap_or(Path::new(""))
}

/// Where a document is written before it takes its place. Only one is written at a time, so one name is enough, and a
/// torn one is overwritten.
const UNFINISHED: &str = ".tmp";

impl Disk {
    pub(super) fn new(root: PathBuf) -> Self {
        Self {
            root,
            #[cfg(test)]
            fault: super::tests::Fault::default(),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    #[cfg(test)]
    fn pass(&self, operation: Operation, path: &Path) -> io::Result<()> {
        self.fault.pass(operation, path)
    }

    #[cfg(not(test))]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps)] // As in tests, where it can fail.
    fn pass(&self, _: Operation, _: &Path) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn read(&self, path: &str) -> io::Result<Option<String>> {
        match fs::read_to_string(self.root.join(path)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The names of the documents in a folder, without their ending; none if there is no folder.
    pub(super) fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        let entries = match fs::read_dir(self.root.join(folder)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(names),
            entries => entries?,
        };
        for entry in entries {
            if let Some(name) = entry?.file_name().to_str().and_then(|name| name.strip_suffix(".json")) {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// Makes the folder itself and those above it that are missing, and has their names on the disk.
    pub(super) fn make_root(&self) -> io::Result<()> {
        let missing: Vec<_> = self.root.ancestors().take_while(|folder| !folder.exists()).collect();
        fs::create_dir_all(&self.root)?;
        missing.iter().filter_map(|made| made.parent()).try_for_each(|parent| self.sync_folder(parent))
    }

    /// Makes the folders, and has their names on the disk.
    pub(super) fn make_folders(&self, folders: &[&str]) -> io::Result<()> {
        for folder in folders {
            fs::create_dir_all(self.root.join(folder))?;
        }
        self.sync_folder(&self.root)?;
        match self.root.parent().map_or(Ok(()), |parent| self.sync_folder(parent)) {
            // The name of a folder in one that may not be read was not made here.
            Err(error) if is_read_only(error.kind()) => Ok(()),
            synced => synced,
        }
    }

    /// Writes a document as a whole: a reader sees the old one or the new one, also after a crash.
    pub(super) fn replace(&self, path: &str, text: &str) -> Result<(), Failure> {
        self.place(path, text)?;
        self.flush(folder_of(path))
    }

    /// The same, but for the name of the document, which is on the disk when its folder is flushed.
    pub(super) fn place(&self, path: &str, text: &str) -> Result<(), Failure> {
        let path = self.root.join(path);
        let folder = path.parent().unwrap_or(&self.root);
        let unfinished = folder.join(UNFINISHED);
        self.remake(folder).map_err(Failure::Undone)?;
        self.write(&unfinished, text.as_bytes()).map_err(Failure::Undone)?;
        self.pass(Operation::Rename, &path).map_err(Failure::Undone)?;
        fs::rename(&unfinished, &path).map_err(Failure::Undone)
    }

    /// Makes a folder of documents again that is missing: what copies a store may leave out empty ones.
    fn remake(&self, folder: &Path) -> io::Result<()> {
        if folder == self.root || folder.is_dir() {
            return Ok(());
        }
        fs::create_dir(folder)?;
        self.sync_folder(&self.root)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::create(path)?;
        if let Err(error) = self.pass(Operation::Write, path) {
            // What a crash in the middle leaves.
            let _ = file.write_all(&bytes[..bytes.len() / 2]);
            return Err(error);
        }
        file.write_all(bytes)?;
        self.pass(Operation::Sync, path)?;
        sync(&file)
    }

    /// Removes a document that may be gone already.
    pub(super) fn remove(&self, path: &str) -> Result<(), Failure> {
        self.unlink(path)?;
        self.flush(folder_of(path))
    }

    /// The same; it is off the disk when its folder is flushed.
    pub(super) fn unlink(&self, path: &str) -> Result<(), Failure> {
        let path = self.root.join(path);
        self.pass(Operation::Remove, &path).map_err(Failure::Undone)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Failure::Undone(error)),
            _ => Ok(()),
        }
    }

    /// Has the names of a folder's documents on the disk.
    pub(super) fn flush(&self, folder: &Path) -> Result<(), Failure> {
        match self.sync_folder(&self.root.join(folder)) {
            // Where it is missing, so are its documents: they were removed.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            synced => synced.map_err(Failure::Unknown),
        }
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.pass(Operation::SyncFolder, folder)?;
        // Elsewhere a folder cannot be opened, and a rename is on the disk by itself.
        if cfg!(unix) { sync(&File::open(folder)?) } else { Ok(()) }
    }

    /// A file to be locked. Where it cannot be written it is read, which is enough for a shared lock.
    pub(super) fn lock_file(&self, name: &str) -> io::Result<File> {
        let path = self.root.join(name);
        let opened = OpenOptions::new().create(true).truncate(false).write(true).read(true).open(&path);
        match opened {
            Err(error) if is_read_only(error.kind()) => File::open(&path),
            opened => opened,
        }
    }
}

pub(super) fn is_read_only(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

/// In unit tests it is enough to know that it was asked for: they do it thousands of times.
fn sync(file: &File) -> io::Result<()> {
    if cfg!(test) { Ok(()) } else { file.sync_all() }
}
