/** Where to cut a text: at `at`, or before it, for half of a surrogate pair is no text, and jsonb refuses it. */
export function cutAt(text: string, at: number): number {
  return at > 0 && /[\uDC00-\uDFFF]/.test(text.charAt(at)) ? at - 1 : at;
}

/** The beginning, of `most` UTF-16 units or one less. */
export function cutText(text: string, most: number): string {
  return text.length <= most ? text : text.slice(0, cutAt(text, most));
}
