// Shows the results of one slide in QuPath 0.5 or newer. Research use only.
//
// In QuPath: Automate > Script editor, open this file, Run. With a project open, the slide is added
// to it, or found in it; without one, a project is made in the folder "project" beside this file.
// Close the slide first: a viewer that shows it does not see what is added to it.
// From a shell: QuPath script import.groovy

import java.awt.image.BufferedImage
import javafx.application.Platform
import qupath.lib.common.GeneralTools
import qupath.lib.gui.QuPathGUI
import qupath.lib.images.ImageData
import qupath.lib.images.servers.ImageServerProvider
import qupath.lib.io.PathIO
import qupath.lib.projects.ProjectIO
import qupath.lib.projects.Projects
import qupath.lib.scripting.QP

// Change these two if slide or folder were moved.
def slide = new File($slide)
def folder = new File($folder)

// What the folder holds, and what QuPath shows of the slide, px.
def objects = [$objects]
def maps = [$maps]
def width = $width
def height = $height

if (!slide.exists())
    throw new FileNotFoundException('There is no slide ' + slide + ': change its path in this script.')
if (!folder.isDirectory())
    throw new FileNotFoundException('There is no folder ' + folder + ': change its path in this script.')

def project = QP.getProject()
if (project == null) {
    def home = new File(folder, 'project')
    def file = new File(home, 'project.qpproj')
    home.mkdirs()
    project = file.exists() ? ProjectIO.loadProject(file, BufferedImage.class)
                            : Projects.createProject(home, BufferedImage.class)
}

def entriesOf = { File file ->
    project.getImageList().findAll { entry ->
        entry.getURIs().any { GeneralTools.toPath(it)?.toFile() == file }
    }
}

def addImages = { File file ->
    def support = ImageServerProvider.getPreferredUriImageSupport(BufferedImage.class, file.toURI().toString())
    if (support == null || support.getBuilders().isEmpty())
        throw new IOException('QuPath cannot open ' + file)
    support.getBuilders().collect { project.addImage(it) }
}

def fits = { entry ->
    def server = entry.getServerBuilder().build()
    try {
        return server.getWidth() == width && server.getHeight() == height
    } finally {
        server.close()
    }
}

// The slide: a file may hold several, of which one was scored.
def entry = (entriesOf(slide) ?: addImages(slide)).find(fits)
if (entry == null)
    throw new IOException(slide.getName() + ' has no image of ' + width + ' x ' + height + ' px: tiles would lie elsewhere.')
def imageData = entry.readImageData()
if (imageData.getImageType() == ImageData.ImageType.UNSET)
    imageData.setImageType(ImageData.ImageType.BRIGHTFIELD_H_E)

// Tiles of an earlier import are replaced; regions that are there already stay as they are.
def hierarchy = imageData.getHierarchy()
def scored = hierarchy.getTileObjects().findAll {
    def measured = it.getMeasurements()
    measured.containsKey('Tissue') && measured.containsKey('\u00b5m/px')
}
hierarchy.removeObjects(scored, true)
def known = hierarchy.getAnnotationObjects().collect { it.getID() } as Set
objects.each { name ->
    def found = PathIO.readObjects(new File(folder, name)).findAll { !known.contains(it.getID()) }
    hierarchy.addObjects(found)
    println(found.size() + ' objects of ' + name)
}
entry.saveImageData(imageData)
imageData.getServer().close()

maps.each { name ->
    def file = new File(folder, name)
    if (!entriesOf(file))
        addImages(file).each { it.setImageName(name) }
}
project.syncChanges()
println('Project: ' + project.getPath())

def gui = QuPathGUI.getInstance()
if (gui != null)
    Platform.runLater { QP.getProject() == null ? gui.setProject(project) : gui.refreshProject() }
