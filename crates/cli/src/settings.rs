//! A node's settings, from its properties file to types.
//!
//! Owns: reading the file and what it refers to, settings that a command line puts over it.
//! Does not own: the keys and their rules (`ottla_metadata::config`), what is done with the settings.

use std::io;
use std::path::{Path, PathBuf};

use ottla_env::disk::{Disk, OpenMode, RealDisk};
use ottla_metadata::config::{
    Advice, BrokerConfig, ConfigError, Layers, Outside, Properties, PropertiesError, ProviderError, Settings,
    advise, resolve_references,
};

/// The settings of one node.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    pub layers: Layers,
    pub config: BrokerConfig,
    /// What the operator should know of them.
    pub advice: Vec<Advice>,
}

/// Why there are none.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("cannot read {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{}, {source}", path.display())]
    Text { path: PathBuf, source: PropertiesError },
    #[error("{}: {source}", path.display())]
    Reference { path: PathBuf, source: ProviderError },
    #[error("{}: {source}", path.display())]
    Config { path: PathBuf, source: ConfigError },
}

/// Largest properties file that is read. Kafka's own has 6 KiB; a file of this size is something else.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Reads the settings in a file. `overrides` win over what stands in it.
pub fn load(path: &Path, overrides: &[(String, String)]) -> Result<NodeSettings, SettingsError> {
    let content = read_file(path).map_err(|source| SettingsError::File { path: path.to_owned(), source })?;
    let properties = Properties::from_bytes(&content)
        .map_err(|source| SettingsError::Text { path: path.to_owned(), source })?;
    let mut settings = properties.settings();
    settings.extend(overrides.iter().cloned());
    resolve(settings, path)
}

/// Reads settings that stand in no file; errors name `origin` in the place of its path.
pub fn resolve(settings: Settings, origin: &Path) -> Result<NodeSettings, SettingsError> {
    let advice = advise(&settings);
    let settings = resolve_references(&settings, &Machine)
        .map_err(|source| SettingsError::Reference { path: origin.to_owned(), source })?;
    let layers = Layers::new(settings);
    let config = BrokerConfig::from_layers(&layers)
        .map_err(|source| SettingsError::Config { path: origin.to_owned(), source })?;
    Ok(NodeSettings { layers, config, advice })
}

/// The environment and the files of this machine.
struct Machine;

impl Outside for Machine {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        read_file(path)
    }
}

/// The content of a file, which may also be one of the system's that tell no length.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    const CHUNK_BYTES: usize = 64 * 1024;
    if RealDisk.is_dir(path)? {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let file = RealDisk.open(path, OpenMode::Read)?;
    let mut content = Vec::new();
    let mut position: u64 = 0;
    while position <= FILE_BYTES_MAX {
        let mut chunk = vec![0; CHUNK_BYTES];
        let got = file.read_at(&mut chunk, position)?;
        if got == 0 {
            return Ok(content);
        }
        content.extend_from_slice(&chunk[..got]);
        position += got as u64;
    }
    let text = format!("it has more than {FILE_BYTES_MAX} bytes");
    Err(io::Error::new(io::ErrorKind::FileTooLarge, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_wins_over_the_file_and_advice_names_what_is_unknown() {
        let settings: Settings = [
            ("process.roles", "broker,controller"),
            ("node.id", "4"),
            ("controller.quorum.bootstrap.servers", "localhost:9093"),
            ("controller.listener.names", "CONTROLLER"),
            ("listeners", "PLAINTEXT://:9092,CONTROLLER://:9093"),
            ("log.dir", "/tmp/a"),
            ("num.partition", "3"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        let node = resolve(settings, Path::new("test")).unwrap();
        assert_eq!(node.config.node_id.value(), 4);
        let advice: Vec<_> = node.advice.iter().map(ToString::to_string).collect();
        assert_eq!(advice, ["unknown setting num.partition is ignored; did you mean num.partitions?"]);
    }

    #[test]
    fn a_file_without_a_length_is_read_whole_and_a_directory_is_refused() {
        assert!(read_file(Path::new("/proc/self/status")).unwrap().starts_with(b"Name:"));
        assert_eq!(read_file(Path::new("/")).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        let error = load(Path::new("/nonexistent/server.properties"), &[]).unwrap_err().to_string();
        assert!(error.starts_with("cannot read /nonexistent/server.properties: "), "{error}");
    }
}
