//! The one table of result codes, and what each is on the wire.

/// Why a call failed, in the vocabulary of [`google.rpc.Code`](https://google.aip.dev/193).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// The caller went away.
    Cancelled,
    /// Nothing better is known.
    Unknown,
    /// The request is wrong whatever the state of the system.
    InvalidArgument,
    /// The deadline passed first; a write may have happened.
    DeadlineExceeded,
    /// What was asked for does not exist.
    NotFound,
    /// What was to be created exists.
    AlreadyExists,
    /// The caller may not do this.
    PermissionDenied,
    /// A quota or a limit is used up.
    ResourceExhausted,
    /// The state of the system does not allow it; retrying alone will not help.
    FailedPrecondition,
    /// A conflict with a concurrent change; retry the read-modify-write.
    Aborted,
    /// Past the end of a valid range.
    OutOfRange,
    /// No such method, or not supported here.
    Unimplemented,
    /// A defect in the service.
    Internal,
    /// The service cannot answer now; retry with backoff.
    Unavailable,
    /// Data was lost or is corrupt.
    DataLoss,
    /// No valid credentials.
    Unauthenticated,
}

impl Code {
    /// Every code, in the order of its gRPC number.
    pub const ALL: [Self; 16] = [
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// The gRPC status number, the HTTP status and the name, decided side by side and nowhere else
    /// (`google/rpc/code.proto`).
    pub const fn wire(self) -> (i32, u16, &'static str) {
        match self {
            Self::Cancelled => (1, 499, "CANCELLED"),
            Self::Unknown => (2, 500, "UNKNOWN"),
            Self::InvalidArgument => (3, 400, "INVALID_ARGUMENT"),
            Self::DeadlineExceeded => (4, 504, "DEADLINE_EXCEEDED"),
            Self::NotFound => (5, 404, "NOT_FOUND"),
            Self::AlreadyExists => (6, 409, "ALREADY_EXISTS"),
            Self::PermissionDenied => (7, 403, "PERMISSION_DENIED"),
            Self::ResourceExhausted => (8, 429, "RESOURCE_EXHAUSTED"),
            Self::FailedPrecondition => (9, 400, "FAILED_PRECONDITION"),
            Self::Aborted => (10, 409, "ABORTED"),
            Self::OutOfRange => (11, 400, "OUT_OF_RANGE"),
            Self::Unimplemented => (12, 501, "UNIMPLEMENTED"),
            Self::Internal => (13, 500, "INTERNAL"),
            Self::Unavailable => (14, 503, "UNAVAILABLE"),
            Self::DataLoss => (15, 500, "DATA_LOSS"),
            Self::Unauthenticated => (16, 401, "UNAUTHENTICATED"),
        }
    }

    /// The number in `grpc-status`.
    pub const fn grpc(self) -> i32 {
        self.wire().0
    }

    /// The HTTP status, unless the error names its own (412, 415, ...).
    pub const fn http(self) -> u16 {
        self.wire().1
    }

    /// The name, as in `google.rpc.Status` rendered as JSON.
    pub const fn name(self) -> &'static str {
        self.wire().2
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
