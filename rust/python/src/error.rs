//! Errors of the core become the exceptions of `apollo_pack.errors`.

use apollo_pack_core::Error;
use pyo3::PyErr;
use pyo3::import_exception;

import_exception!(apollo_pack.errors, ConfigError);
import_exception!(apollo_pack.errors, CorpusError);
import_exception!(apollo_pack.errors, FormatError);
import_exception!(apollo_pack.errors, InternalError);
import_exception!(apollo_pack.errors, InputError);
import_exception!(apollo_pack.errors, OutputBusyError);
import_exception!(apollo_pack.errors, OutputExistsError);
import_exception!(apollo_pack.errors, FileError);
import_exception!(apollo_pack.errors, MissingFileError);
import_exception!(apollo_pack.errors, TokenizerError);
import_exception!(apollo_pack.errors, UnfinishedBuildError);

/// "No space left on device", on Linux everywhere the same.
const ENOSPC: i32 = 28;

/// The exception for an error.
pub(crate) fn to_python(error: Error) -> PyErr {
    let message = error.to_string();
    match error {
        Error::Io { path, source } => {
            let arguments = (message, source.raw_os_error(), path);
            match source.kind() {
                std::io::ErrorKind::NotFound => MissingFileError::new_err(arguments),
                _ => FileError::new_err(arguments),
            }
        }
        Error::Input(input) | Error::Benchmark(input) => {
            InputError::new_err((message, input.file, input.item, input.byte))
        }
        Error::Corpus { .. } => CorpusError::new_err(message),
        Error::Tokenizer { .. } => TokenizerError::new_err(message),
        Error::Config(_) => ConfigError::new_err(message),
        Error::OutputExists(_) => OutputExistsError::new_err(message),
        Error::OutputBusy(_) => OutputBusyError::new_err(message),
        Error::Unfinished { .. } => UnfinishedBuildError::new_err(message),
        Error::NoRoom { folder, .. } => FileError::new_err((message, ENOSPC, folder)),
        Error::Format { .. } => FormatError::new_err(message),
        Error::Internal(_) => InternalError::new_err(message),
        Error::Interrupted => pyo3::exceptions::PyKeyboardInterrupt::new_err(()),
    }
}
