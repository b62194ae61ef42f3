/** What the process of the relay is told. */
export type RelayCommand = { readonly type: 'start' } | { readonly type: 'close' };

/** What it answers: it can start; all events have arrived; it has closed. */
export type RelayAnswer =
  | { readonly type: 'opened' }
  | { readonly type: 'arrived'; readonly seconds: number }
  | { readonly type: 'closed' }
  | { readonly type: 'failed'; readonly message: string };
