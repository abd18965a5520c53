//! Stand-ins for the file calls that only Linux has, so that the code builds and runs elsewhere.
//!
//! Owns: the same functions as `system_linux`. They are right, only slower: a hint does nothing, and
//! every byte counts as resident.
//! Does not own: which of the two is compiled in (`disk`).

use std::fs;
use std::io;

use super::File;

pub(super) fn read_at_resident(
    whole: &dyn File,
    _file: &fs::File,
    buffer: &mut [u8],
    position: u64,
) -> io::Result<usize> {
    whole.read_at(buffer, position)
}

pub(super) fn is_resident(_file: &fs::File, _position: u64, _len: u64) -> io::Result<bool> {
    Ok(true)
}

pub(super) fn expect(_file: &fs::File, _position: u64, _len: u64) -> io::Result<()> {
    Ok(())
}

pub(super) fn forget_cached(_file: &fs::File, _position: u64, _len: u64) -> io::Result<()> {
    Ok(())
}

pub(super) fn reserve(_file: &fs::File, _position: u64, _len: u64) -> io::Result<()> {
    Ok(())
}

pub(super) fn start_writeback(_file: &fs::File, _position: u64, _len: u64) -> io::Result<()> {
    Ok(())
}

pub(super) fn sync_file_system(_file: &fs::File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
