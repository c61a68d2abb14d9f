// Class names as people spell them.

/** A class name without what people spell differently: case, spaces, underscores, hyphens. */
export const foldName = (name: string): string => name.toLowerCase().replace(/[\s_-]+/g, '');
