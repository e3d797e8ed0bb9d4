/**
 * Every error of this package, so that `error instanceof InkwireError` tells ours from a bug of the page. `code` is a stable
 * word to branch on: the relay's own codes (`"forbidden"`, `"document_deleted"`, …) and those of the subclasses below.
 */
export class InkwireError extends Error {
  constructor(readonly code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    // Minifiers rename classes; the name is part of the interface, so each class says its own.
    this.name = "InkwireError"
  }
}

/** This session may read the document but not write it; nothing was changed. */
export class ReadOnly extends InkwireError {
  constructor(message = "this session may read the document but not edit it") {
    super("read_only", message)
    this.name = "ReadOnly"
  }
}

/** The edits that wait for the relay have reached the outbox's bound; nothing was changed. Edit again once it has drained. */
export class OutboxFull extends InkwireError {
  constructor(message = "too many edits wait for the relay") {
    super("outbox_full", message)
    this.name = "OutboxFull"
  }
}

/** The client or document was closed by the page itself, so it can no longer be used. */
export class Closed extends InkwireError {
  constructor(message = "closed") {
    super("closed", message)
    this.name = "Closed"
  }
}

/** No transport reached the relay. `cause` holds the last failure. */
export class ConnectionFailed extends InkwireError {
  constructor(message: string, options?: ErrorOptions) {
    super("connection_failed", message, options)
    this.name = "ConnectionFailed"
  }
}

/** The page's `token` function threw or gave no string. `cause` holds what it threw. */
export class TokenFailed extends InkwireError {
  constructor(message: string, options?: ErrorOptions) {
    super("token_failed", message, options)
    this.name = "TokenFailed"
  }
}

/** The relay ended the session or the document for good, or refused an edit: `code` is its word for why. */
export class Refused extends InkwireError {
  constructor(code: string, message: string) {
    super(code, message)
    this.name = "Refused"
  }
}

/** The core failed on a bug of ours. The client is stopped and keeps refusing, so that no damaged state reaches the relay. */
export class InternalError extends InkwireError {
  constructor(message: string, options?: ErrorOptions) {
    super("internal", message, options)
    this.name = "InternalError"
  }
}

/** An error as the core words it, `code` and message, in the class that the interface promises for it. */
export function typedError(code: string, message: string): Error {
  switch (code) {
    case "out_of_range":
      return new RangeError(message)
    case "read_only":
      return new ReadOnly(message)
    case "outbox_full":
      return new OutboxFull(message)
    case "closed":
      return new Closed(message)
    default:
      return new InkwireError(code, message)
  }
}
