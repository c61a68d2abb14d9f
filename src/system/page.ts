// Self-contained HTML pages: no script, nothing that is fetched.
import { escapeText } from './svg.js';

const STYLE = `
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1320px; margin: 2em auto; padding: 0 1em; color: #222; }
h1 { font-size: 1.6em; } h2 { margin-top: 2em; border-bottom: 1px solid #ddd; }
table { border-collapse: collapse; margin: 1em 0; } th, td { padding: .3em 1em .3em 0; text-align: left; border-bottom: 1px solid #eee; }
td.n { text-align: right; font-variant-numeric: tabular-nums; } figure { margin: 1em 0; overflow-x: auto; } svg { max-width: 100%; height: auto; }
.pair { display: flex; flex-wrap: wrap; gap: 2em; } .note { color: #555; }
`;

const tableRow = (cells: readonly string[], tag: 'td' | 'th' = 'td'): string =>
  `<tr>${cells.map((cell, i) => `<${tag}${i > 0 && tag === 'td' ? ' class="n"' : ''}>${escapeText(cell)}</${tag}>`).join('')}</tr>`;

/** A table of texts; all columns but the first are numbers. */
export const pageTable = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  `<table>${tableRow(head, 'th')}${rows.map((cells) => tableRow(cells)).join('')}</table>`;

/** @param svg a complete SVG document */
export const pagePicture = (svg: string): string => `<figure>${svg}</figure>`;

export const pageParagraph = (text: string, kind = ''): string =>
  `<p${kind === '' ? '' : ` class="${kind}"`}>${escapeText(text)}</p>`;

export const pageHeading = (text: string): string => `<h2>${escapeText(text)}</h2>`;

/** @param body HTML, put together by the functions beside this one */
export const page = (title: string, body: readonly string[]): string =>
  [
    '<!doctype html>',
    `<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escapeText(title)}</title><style>${STYLE}</style></head><body>`,
    `<h1>${escapeText(title)}</h1>`,
    ...body,
    '</body></html>',
    '',
  ].join('\n');
