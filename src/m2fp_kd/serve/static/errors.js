/** An error answer. `retryAfter`: seconds after which the same request may succeed; absent if it never will. */
export class ApiError extends Error {
  constructor(code, message, retryAfter = null) {
    super(message);
    this.code = code;
    this.retryAfter = retryAfter;
  }
}
