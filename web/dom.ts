/** The page's elements by id, with the type that the page gives them. */

/** Throws where the page has no such element: page and script do not fit together. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no element #${id}`);
  return element as T;
}
