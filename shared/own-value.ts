/** What a record has by a name itself: `toString` and `__proto__` are names that people send as well. */
export function ownValue<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}
