/** What all pictures of measurements have: SVGs that need nothing else. */

/** @param title also for those who cannot see it */
export function svgOf(title: string, width: number, height: number, content: readonly string[]): string {
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="11">`,
    `<title>${title}</title>`,
    '<rect width="100%" height="100%" fill="#fff"/>',
    ...content,
    '</svg>',
  ].join('\n')}\n`;
}

export function svgText(left: number, top: number, words: string, colour = '#222'): string {
  return `<text x="${left}" y="${top}" fill="${colour}">${words}</text>`;
}
